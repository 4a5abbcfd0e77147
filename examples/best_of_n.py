"""A reward model from votes of people who differ, and the best of several responses.

Run: python examples/best_of_n.py [BASE_MODEL]
"""

from __future__ import annotations

import sys

import pandas as pd

from dcpc import train_adapter
from dcpc.data import Annotations

ASKED = ("Can you help me?", "Where is the station?", "What is the time?", "Is it open today?")
KIND = ("Of course, with pleasure!", "Gladly: one moment, please.")
CURT = ("No.", "Look it up.")


def votes() -> Annotations:
    """Three people compare kind and curt replies; `cem` can hardly ever decide."""
    rows = []
    for number in range(32):
        kind_first = number % 2 == 0
        replies = (KIND[number % 2], CURT[number // 2 % 2])
        a, b = replies if kind_first else replies[::-1]
        for who in ("ann", "bob", "cem"):
            label = "tie" if who == "cem" and number % 4 else ("a" if kind_first else "b")
            rows.append((f"pair {number}", f"{ASKED[number % 4]} ({number})", a, b, who, label))
    columns = ["item_id", "text", "response_a", "response_b", "annotator_id", "label"]
    return Annotations(pd.DataFrame(rows, columns=columns), ("a", "b", "tie"), "preference")


def main(base_model: str) -> None:
    """Train on every vote, score single replies, and ask who would call a tie."""
    pairs = votes()
    settings = {"num_train_epochs": 10, "per_device_train_batch_size": 8}
    adapter = train_adapter(
        pairs, base_model=base_model, task={"name": "prefer"}, training=settings, progress=False
    )
    replies = [*KIND, *CURT]
    for reply, reward in zip(replies, adapter.reward([ASKED[0]] * len(replies), replies), strict=True):
        print(f"{reward:6.2f}  {reply}")
    columns = ["response_a", "response_b", "p_a", "p_b", "p_tie"]
    print(adapter.predict(pairs.items.head(2), as_="distribution")[columns])
    print(adapter.predict(pairs.items.head(2), as_="annotators")[["annotator_id", "label", "probability"]])


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "minilm")
