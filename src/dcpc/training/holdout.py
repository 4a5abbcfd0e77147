"""Which items train, and which choose the best epoch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dcpc.data import Annotations
from dcpc.data.splits import TEST_NAMES, TRAIN_NAMES, VALIDATION_NAMES
from dcpc.data.validation import listed
from dcpc.errors import DataError


class Division(NamedTuple):
    """Annotations, divided by item.

    Attributes:
        train: to train on.
        validation: which choose the best epoch; None for none.
        left_out: number of items by the name of a split that is neither, test items among them.
    """

    train: Annotations
    validation: Annotations | None
    left_out: dict[str, int]


def hold_out(annotations: Annotations, share: float, seed: int) -> Division:
    """Divide annotations by item into training and validation.

    A `split` column decides, where there is one; items that any row of it counts as test are never trained on, nor
    used to choose the epoch. Where it names no validation items, a share of the training items is drawn at random.

    Args:
        annotations: all judgements.
        share: of the items to hold out, in [0, 1); 0 for none.
        seed: of the draw.

    Raises:
        DataError: if the `split` column names no training items, if no item is left on a side, or if training has
            one class only (but for votes between responses).
    """
    train, validation, left_out = _by_split(annotations)
    if validation is None and share > 0:
        n_held = round(share * train.n_items)
        if n_held == 0 or n_held == train.n_items:
            raise DataError(
                f"{train.n_items} items cannot be divided into {share:.0%} for validation and the rest.",
                where=annotations.source,
                fix="Annotate more items, or switch validation off: --set validation_share=0 (validation=None in "
                "Python).",
            )
        held = np.random.default_rng(seed).permutation(train.n_items)[:n_held]
        is_held = np.isin(train.item_codes, held)
        train, validation = train.where(~is_held), train.where(is_held)
    # Votes for one side alone still say which of two responses is better; a task that is about labels refuses them.
    if len(np.unique(train.label_codes)) < 2 and train.scale != "preference":
        raise DataError(
            "the items to train on have one class only.",
            where=annotations.source,
            fix="Training needs judgements of at least two labels.",
        )
    return Division(train, validation, left_out)


def _by_split(annotations: Annotations) -> Division:
    """What the `split` column says; everything trains where there is none, or an empty one."""
    if "split" not in annotations.table:
        return Division(annotations, None, {})
    items, given = annotations.table["item_id"], annotations.table["split"].fillna("").astype(str).str.strip()
    if (given == "").all():
        return Division(annotations, None, {})
    given = given.where(given != "", "(empty)")
    split = given.str.lower()
    # An item with rows in several splits belongs to the strictest of them.
    tested = items.isin(items[split.isin(TEST_NAMES)])
    validates = items.isin(items[split.isin(VALIDATION_NAMES)]) & ~tested
    trains = split.isin(TRAIN_NAMES) & ~tested & ~validates
    if not trains.any():
        raise DataError(
            f"the `split` column names no items to train on; it says {listed(sorted(given.unique()))}.",
            where=annotations.source,
            fix=f"What trains is called {' or '.join(TRAIN_NAMES)}; what chooses the epoch, "
            f"{', '.join(VALIDATION_NAMES)}; what is left for `dcpc evaluate`, {', '.join(TEST_NAMES)}. "
            "Rename the splits, or remove the column to train on all items.",
        )
    validation = annotations.where(validates.to_numpy()) if validates.any() else None
    left = ~trains & ~validates
    left_out = {str(name): int(n) for name, n in items[left].groupby(given[left]).nunique().items()}
    return Division(annotations.where(trains.to_numpy()), validation, left_out)
