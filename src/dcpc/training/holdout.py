"""Which items train, and which choose the best epoch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dcpc.data import Annotations
from dcpc.data.splits import rows_by_split
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
    rows = rows_by_split(annotations.table, annotations.source, "items")
    if rows is None:
        return Division(annotations, None, {})
    validation = annotations.where(rows.validates) if rows.validates.any() else None
    return Division(annotations.where(rows.trains), validation, rows.left_out)
