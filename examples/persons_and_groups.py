"""Persons and groups: who agrees with whom, the public's distribution, and what a given annotator would say.

Run: python examples/persons_and_groups.py [BASE_MODEL]
"""

from __future__ import annotations

import sys

import pandas as pd

from dcpc import train_adapter
from dcpc.data import Annotations
from dcpc.inspection import inspect_annotations

WORDS = {"good": ("lovely", "great", "good"), "bad": ("awful", "bad", "poor")}


def strict_and_lenient() -> Annotations:
    """Two camps judge the same texts: what is doubtful is bad for the strict and good for the lenient."""
    rows = []
    for number in range(30):
        kind = ("good", "bad", "doubtful")[number % 3]
        word = "odd" if kind == "doubtful" else WORDS[kind][number % 3]
        for who in ("strict-1", "strict-2", "lenient-1", "lenient-2"):
            label = kind if kind != "doubtful" else ("bad" if who.startswith("strict") else "good")
            rows.append((f"i{number}", f"the film was {word} ({number})", who, label))
    table = pd.DataFrame(rows, columns=["item_id", "text", "annotator_id", "label"])
    return Annotations(table, ("bad", "good"))


def main(base_model: str) -> None:
    """Find the camps without being told, train on both, and ask what each person would say."""
    annotations = strict_and_lenient()
    groups = inspect_annotations(annotations, pairs=False).groups
    for members in groups.members:
        print("a group:", ", ".join(members))
    adapter = train_adapter(
        annotations, base_model=base_model, training={"num_train_epochs": 2}, progress=False
    )
    texts = ["the film was odd", "the film was lovely"]
    print(adapter.predict(texts, as_="distribution"))
    print(adapter.predict(texts, as_="annotators"))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "minilm")
