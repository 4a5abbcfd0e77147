"""Which items train, and which choose the best epoch."""

from __future__ import annotations

import numpy as np

from dcpc.data import Annotations
from dcpc.data.splits import Division, by_split
from dcpc.errors import DataError


def hold_out(annotations: Annotations, share: float, seed: int) -> Division[Annotations]:
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
    train, validation, left_out = by_split(annotations, "items")
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
