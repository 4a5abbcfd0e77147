"""Items of real sets that no suite tests on, for what is chosen before a test."""

from __future__ import annotations

import numpy as np

from dcpc.data import Annotations
from dcpc_bench.statistics.splits import split_by_item


def sides(
    data: Annotations, seed: int, train: int, held_out: int, measured: int
) -> tuple[Annotations, Annotations, Annotations]:
    """Items that train, that choose, and that measure, at most so many of each; those of the test side are in none.

    Args:
        data: of a set with real annotators.
        seed: of the split, and of the order in which items are taken.
        train: items that train.
        held_out: items that choose the epoch, the shares of a readout and the decision rule.
        measured: items that measure.
    """
    split = split_by_item(data, seed)
    pool = data.where(~data.table["item_id"].isin(split.test.item_ids))
    items = np.random.default_rng([seed, 11]).permutation(pool.item_ids).tolist()
    ends = np.cumsum([train, held_out, measured])
    parts = np.split(np.array(items[: ends[-1]]), ends[:2])
    of_train, of_held_out, of_measured = (pool.of_items(part.tolist()) for part in parts)
    return of_train, of_held_out, of_measured
