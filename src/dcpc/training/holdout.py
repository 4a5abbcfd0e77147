"""Which items train, and which choose the best epoch."""

from __future__ import annotations

import numpy as np

from dcpc.data import Annotations
from dcpc.data.splits import Division, by_split
from dcpc.errors import DataError
from dcpc.preference.prompts import asked


def hold_out(annotations: Annotations, share: float, seed: int) -> Division[Annotations]:
    """Divide annotations by item into training and validation.

    A `split` column decides, where there is one; items that any row of it counts as test are never trained on, nor
    used to choose the epoch. Where it names no validation items, a share of the training items is drawn at random;
    of pairs of responses whole prompts are, as rewards of responses to a known prompt are no test of new ones.

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
        is_held = _drawn(asked(train), n_held, seed)[train.item_codes]
        train, validation = train.where(~is_held), train.where(is_held)
    # Votes for one side alone still say which of two responses is better; a task that is about labels refuses them.
    if len(np.unique(train.label_codes)) < 2 and train.scale != "preference":
        raise DataError(
            "the items to train on have one class only.",
            where=annotations.source,
            fix="Training needs judgements of at least two labels.",
        )
    return Division(train, validation, left_out)


def _drawn(unit: np.ndarray, n_held: int, seed: int) -> np.ndarray:
    """Which items are held out: whole units in a random order, of which so many that their items are nearest to
    `n_held`; where there is one unit only, items.

    Args:
        unit: number of each item's unit, 0 to U − 1 [I].
        n_held: items to hold out.
        seed: of the draw.

    Returns:
        bool [I].
    """
    if unit.max() == 0:
        unit = np.arange(len(unit))
    sizes = np.bincount(unit)
    order = np.random.default_rng(seed).permutation(len(sizes))
    # At least one unit is held out, and one left to train on.
    held_by = np.cumsum(sizes[order])[:-1]
    n_units = int(np.abs(held_by - n_held).argmin()) + 1
    return np.isin(unit, order[:n_units])
