"""Persons and groups: what a given annotator would say, and what is left for people whom training did not see.

Run: python examples/persons_and_groups.py [BASE_MODEL]
"""

from __future__ import annotations

import sys

import pandas as pd

from dcpc import train_adapter
from dcpc.data import Annotations

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
    """Train on both camps, and ask what each person would say."""
    adapter = train_adapter(
        strict_and_lenient(), base_model=base_model, training={"num_train_epochs": 2}, progress=False
    )
    texts = ["the film was odd", "the film was lovely"]
    print(adapter.predict(texts, as_="distribution"))
    print(adapter.predict(texts, as_="annotators"))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "minilm")
