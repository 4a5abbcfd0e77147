"""The `split` column: what its names mean, and the rows of one split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

import numpy as np
import pandas as pd

from dcpc.data.annotations import Annotations
from dcpc.data.validation import listed
from dcpc.errors import DataError, UsageError

TRAIN_NAMES = ("train", "training")
VALIDATION_NAMES = ("validation", "valid", "val", "dev", "development")
TEST_NAMES = ("test", "testing", "eval", "evaluation", "holdout", "held-out")
"""How a `split` column names training, validation and test items, in any case. Whatever else it says is left out."""


class Divisible(Protocol):
    """Rows that belong to items, such as annotations or replies."""

    @property
    def table(self) -> pd.DataFrame:
        """With `item_id`, and `split` where it is known."""

    @property
    def source(self) -> str:
        """Where they were read, for messages."""

    def where(self, rows: np.ndarray) -> Self:
        """Those that a boolean mask over the rows selects."""


T = TypeVar("T", bound=Divisible)


class Division(NamedTuple, Generic[T]):
    """Annotations or replies, divided by item.

    Attributes:
        train: to train on.
        validation: which choose the best epoch; None for none.
        left_out: number of items by the name of a split that is neither, test items among them.
    """

    train: T
    validation: T | None
    left_out: dict[str, int]


def by_split(data: T, what: str) -> Division[T]:
    """What the `split` column says of each item; everything trains where there is none, or an empty one.

    An item with rows in several splits belongs to the strictest of them: test, then validation.

    Args:
        data: to divide.
        what: the items are called in messages, in the plural.

    Raises:
        DataError: if no item is to train on.
    """
    table = data.table
    if "split" not in table:
        return Division(data, None, {})
    items, given = table["item_id"], table["split"].fillna("").astype(str).str.strip()
    if (given == "").all():
        return Division(data, None, {})
    given = given.where(given != "", "(empty)")
    split = given.str.lower()
    tested = items.isin(items[split.isin(TEST_NAMES)])
    validates = items.isin(items[split.isin(VALIDATION_NAMES)]) & ~tested
    trains = split.isin(TRAIN_NAMES) & ~tested & ~validates
    if not trains.any():
        raise DataError(
            f"the `split` column names no {what} to train on; it says {listed(sorted(given.unique()))}.",
            where=data.source,
            fix=f"What trains is called {' or '.join(TRAIN_NAMES)}; what chooses the epoch, "
            f"{', '.join(VALIDATION_NAMES)}; what is left for `dcpc evaluate`, {', '.join(TEST_NAMES)}. "
            f"Rename the splits, or remove the column to train on all {what}.",
        )
    validation = data.where(validates.to_numpy()) if validates.any() else None
    left = ~trains & ~validates
    left_out = {str(name): int(n) for name, n in items[left].groupby(given[left]).nunique().items()}
    return Division(data.where(trains.to_numpy()), validation, left_out)


def left_out_note(left_out: Mapping[str, int], what: str) -> list[str]:
    """A sentence on items of other splits, or none."""
    if not left_out:
        return []
    parts = ", ".join(f"{count:,} of `{name}`" for name, count in left_out.items())
    return [f"{what} of other splits were left out of training and validation: {parts}."]


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
