"""The `split` column: what its names mean, and the rows of one split."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dcpc.data.annotations import Annotations
from dcpc.errors import UsageError

TRAIN_NAMES = ("train", "training")
VALIDATION_NAMES = ("validation", "valid", "val", "dev", "development")
TEST_NAMES = ("test", "testing", "eval", "evaluation", "holdout", "held-out")
"""How a `split` column names training, validation and test items, in any case. Whatever else it says is left out."""


def keep_split(annotations: Annotations, split: str | None) -> Annotations:
    """The judgements of one split; all of them where `split` is None.

    Raises:
        UsageError: if the data have no such split.
    """
    if split is None:
        return annotations
    if "split" not in annotations.table:
        raise UsageError(
            "the data have no `split` column.", where=annotations.source, fix="Leave --split out."
        )
    return annotations.where(rows_of_split(annotations.table, split, annotations.source))


def rows_of_split(table: pd.DataFrame, split: str, source: str) -> np.ndarray:
    """Which rows of a table with a `split` column are of that split, bool [R].

    Raises:
        UsageError: if none is.
    """
    splits = table["split"].astype(str)
    rows = (splits == split).to_numpy()
    if not rows.any():
        names = ", ".join(sorted(splits.unique()))
        raise UsageError(f"there is no split `{split}`.", where=source, fix=f"Splits are: {names}.")
    return rows
