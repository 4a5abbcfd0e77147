"""Comparing two methods from their records, on the statistics that the report uses cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dcpc_bench.statistics.significance import (
    REPLICATES,
    Comparison,
    Statistic,
    compare_over_seeds,
    draw_items,
    weighted_mean,
)


@dataclass(frozen=True)
class PairedRun:
    """What two methods did with one seed on the same N test items.

    Attributes:
        items: item ids, [N]; an item that several seeds test keeps its id and counts as one item.
        first: records of the first method, [N] or [N, R]: a loss, or whatever the statistic takes.
        second: records of the second method, of the same shape.
    """

    items: np.ndarray
    first: np.ndarray
    second: np.ndarray


def paired_bootstrap(
    runs: Sequence[PairedRun],
    statistic: Statistic = weighted_mean,
    *,
    replicates: int = REPLICATES,
    confidence: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare two methods over seeds and the items nested in them.

    1. d_s = statistic of the first method − statistic of the second, for each seed; d̄ their mean.
    2. In each replicate draw the items with replacement, by id, and compute d̄ on the drawn items.
    3. Add the variance over replicates to the variance over seeds; interval and p-value from Student's t.

    Args:
        runs: one per seed.
        statistic: what to compare.
        replicates: number of bootstrap samples of the items.
        confidence: of the interval.
        seed: of the resampling.
    """
    ids, codes = np.unique(np.concatenate([run.items for run in runs]), return_inverse=True)
    of_run = np.split(codes, np.cumsum([len(run.items) for run in runs])[:-1])
    drawn = draw_items(len(ids), replicates, seed)  # [R, items]
    points, samples = [], []
    for run, code in zip(runs, of_run, strict=True):
        all_items, weights = np.ones(len(run.items)), drawn[:, code]  # [N], [R, N]
        points.append(statistic(run.first, all_items) - statistic(run.second, all_items))
        samples.append(statistic(run.first, weights) - statistic(run.second, weights))
    return compare_over_seeds(np.array(points), np.stack(samples, axis=1), len(ids), confidence=confidence)
