"""Which items train, and which choose the best epoch."""

from __future__ import annotations

import numpy as np

from dcpc.data import Annotations
from dcpc.errors import DataError, UsageError

TRAIN_NAMES = ("train", "training")
VALIDATION_NAMES = ("validation", "valid", "val", "dev")


def hold_out(annotations: Annotations, share: float, seed: int) -> tuple[Annotations, Annotations | None]:
    """Divide annotations by item into training and validation.

    A `split` column decides where it names training items; its test items are left out. Otherwise, or where it
    names no validation items, a share of the (training) items is drawn at random.

    Args:
        annotations: all judgements.
        share: of the items to hold out, in [0, 1); 0 for none.
        seed: of the draw.

    Returns:
        Training annotations, and validation annotations or None.

    Raises:
        DataError: if no item is left on a side, or training has one class only.
    """
    train, validation = annotations, None
    if "split" in annotations.table:
        split = annotations.table["split"].astype(str).str.lower()
        if split.isin(TRAIN_NAMES).any():
            train = annotations.where(split.isin(TRAIN_NAMES).to_numpy())
            if split.isin(VALIDATION_NAMES).any():
                validation = annotations.where(split.isin(VALIDATION_NAMES).to_numpy())
    if validation is None and share > 0:
        n_held = round(share * train.n_items)
        if n_held == 0 or n_held == train.n_items:
            raise DataError(
                f"{train.n_items} items cannot be divided into {share:.0%} for validation and the rest.",
                where=annotations.source,
                fix="Annotate more items, or switch validation off with --set validation_share=0.",
            )
        held = np.random.default_rng(seed).permutation(train.n_items)[:n_held]
        is_held = np.isin(train.item_codes, held)
        train, validation = train.where(~is_held), train.where(is_held)
    if len(np.unique(train.label_codes)) < 2:
        raise DataError(
            "the items to train on have one class only.",
            where=annotations.source,
            fix="Training needs judgements of at least two labels.",
        )
    return train, validation


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
    rows = (annotations.table["split"].astype(str) == split).to_numpy()
    if not rows.any():
        names = ", ".join(sorted(annotations.table["split"].astype(str).unique()))
        raise UsageError(
            f"there is no split `{split}`.", where=annotations.source, fix=f"Splits are: {names}."
        )
    return annotations.where(rows)
