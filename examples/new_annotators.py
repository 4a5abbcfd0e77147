"""A few judgements of somebody new: a strict person is told from a lenient one, and the adapter stays as it is.

Run: python examples/new_annotators.py [BASE_MODEL]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import pandas as pd

from dcpc import train_adapter
from dcpc.data import Annotations

WORDS = ("awful", "poor", "odd", "fine", "lovely")


def judgements(needs: Mapping[str, int], first: int, n_films: int) -> Annotations:
    """Films from awful to lovely; everybody says `good` from the word on that they need."""
    rows = []
    for number in range(first, first + n_films):
        text = f"the film was {WORDS[number % 5]} ({number})"
        for name, least in needs.items():
            rows.append((f"film {number}", text, name, "good" if number % 5 >= least else "bad"))
    columns = ["item_id", "text", "annotator_id", "label"]
    return Annotations(pd.DataFrame(rows, columns=columns), ("bad", "good"))


def main(base_model: str) -> None:
    """Train on six people, learn two more by five judgements each, and ask both of a film that is odd."""
    known = {"strict-1": 4, "strict-2": 4, "even-1": 3, "even-2": 2, "lenient-1": 1, "lenient-2": 1}
    adapter = train_adapter(judgements(known, 0, 30), base_model=base_model, progress=False)
    done = adapter.adapt(judgements({"critic": 4, "fan": 1}, 100, 5))
    print(f"{' and '.join(done.annotators)}: {done.judgements} judgements")
    said = adapter.predict(["the film was odd"], as_="annotators")
    print(said[said["annotator_id"].isin(done.annotators)].to_string(index=False))
    print(adapter.predict(["the film was odd"], as_="distribution").to_string(index=False))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "minilm")
