"""From an annotation tool's export to an adapter: read, look, train, predict, save, load.

Run: python examples/from_export_to_adapter.py [EXPORT [BASE_MODEL]]
Without arguments it writes a small Label Studio export, and trains on the embedded `minilm`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from dcpc import load_adapter, read_annotations, train_adapter

GOOD = ("The room was lovely.", "Great food, kind people.", "We would come again.", "A quiet, clean place.")
BAD = ("Never again.", "Cold food and a rude waiter.", "The bed was awful.", "Dirty, loud and late.")


def small_export(folder: Path) -> Path:
    """A Label Studio export: every task was judged by two people, one of whom is strict."""

    def task(number: int, text: str, labels: dict[str, str]) -> dict[str, object]:
        annotations = [
            {
                "completed_by": who,
                "result": [
                    {"from_name": "tone", "to_name": "text", "type": "choices", "value": {"choices": [label]}}
                ],
            }
            for who, label in labels.items()
        ]
        return {"id": number, "data": {"text": text}, "annotations": annotations}

    texts = [(text, "good") for text in GOOD] + [(text, "bad") for text in BAD]
    tasks = []
    for number in range(32):
        text, label = texts[number % len(texts)]
        strict = "bad" if number % 4 == 0 else label
        tasks.append(task(number, f"{text} (visit {number})", {"ann": label, "bob": strict}))
    path = folder / "export.json"
    path.write_text(json.dumps(tasks), encoding="utf-8")
    return path


def main(export: Path, base_model: str, folder: Path) -> None:
    """Train an adapter on an export and predict with it."""
    annotations = read_annotations(export)
    print(
        f"{annotations.n_judgements} judgements of {annotations.n_items} items by {list(annotations.annotators)}"
    )
    trained = train_adapter(
        annotations, base_model=base_model, training={"num_train_epochs": 1}, progress=False
    )
    trained.save(folder / "adapter")
    adapter = load_adapter(folder / "adapter")
    texts = ["Lovely people.", "Awful and cold."]
    print(adapter.predict(texts))
    print(adapter.predict(texts, as_="distribution"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        where = Path(scratch)
        source = Path(sys.argv[1]) if len(sys.argv) > 1 else small_export(where)
        main(source, sys.argv[2] if len(sys.argv) > 2 else "minilm", where)
