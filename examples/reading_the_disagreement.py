"""Reading the disagreement before training: agreement, who leans where, and the page that shows it.

Run: python examples/reading_the_disagreement.py [ANNOTATIONS]
Without an argument it makes judgements of which one annotator calls everything bad.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pandas as pd

from dcpc import read_annotations
from dcpc.inspection import inspect_annotations
from dcpc.inspection.page import inspection_page


def small_table(folder: Path) -> Path:
    """Three annotators judge 24 reviews; eve is strict."""
    rows = []
    for number in range(24):
        label = "good" if number % 2 else "bad"
        for who in ("ann", "bob", "eve"):
            given = "bad" if who == "eve" and number % 3 else label
            rows.append(
                {"item_id": f"r{number}", "text": f"review {number}", "annotator_id": who, "label": given}
            )
    path = folder / "reviews.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def main(source: Path, folder: Path) -> None:
    """Print what stands out, and write the page."""
    annotations = read_annotations(source)
    found = inspect_annotations(annotations, pairs=False)
    page = folder / "disagreement.html"
    page.write_text(inspection_page(found), encoding="utf-8")
    print(f"{annotations.n_items} items, {annotations.n_judgements} judgements")
    shares = (
        annotations.table.groupby("annotator_id")["label"].value_counts(normalize=True).unstack(fill_value=0)
    )
    print(
        shares.round(2)
    )  # a row that differs from the others is a person who leans, or who means something else
    print(f"the page has {page.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else small_table(Path(scratch)), Path(scratch))
