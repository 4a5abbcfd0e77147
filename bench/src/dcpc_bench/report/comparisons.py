"""One method against another: on a column, and over the columns of a family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dcpc.evaluation.multiplicity import holm
from dcpc_bench.report.metrics import Metric
from dcpc_bench.report.results import Column, Family
from dcpc_bench.report.scores import Scores
from dcpc_bench.statistics.pooling import SetDifference, pooled_difference
from dcpc_bench.statistics.significance import Comparison, compare_over_seeds

ALPHA = 0.05
FEWEST_SEEDS = 2
"""Below, nothing is called a difference: with one seed the variance over seeds is unknown, and one in ten of equal
methods would be."""


@dataclass(frozen=True)
class Difference:
    """Reference minus another method.

    Attributes:
        other: the other method.
        column: where; None over all columns that both have.
        result: difference, 95 % interval, p-value, seeds.
        adjusted: p-value after Holm's correction over the table.
        columns: number of columns that it speaks of.
        relative: the difference as a share of the other's mean.
    """

    other: str
    column: Column | None
    result: Comparison
    adjusted: float
    columns: int
    relative: float

    @property
    def enough_seeds(self) -> bool:
        """Whether it may be called a difference at all."""
        return self.result.n_seeds >= FEWEST_SEEDS

    def side(self, metric: Metric) -> int:
        """1 if the whole interval is better than no difference, −1 if it is worse, 0 if it holds 0.

        Also 0 with one seed, whose interval knows nothing of other seeds.
        """
        low, high = self.result.low, self.result.high
        if low <= 0 <= high or not self.enough_seeds:
            return 0
        return 1 if metric.better(self.result.difference, 0.0) else -1

    def verdict(self, metric: Metric) -> str:
        """`better`, `worse`, or `no clear difference`, for the reference; `one seed` where that is all there is."""
        if not self.enough_seeds:
            return "one seed"
        if self.adjusted > ALPHA:
            return "no clear difference"
        return "better" if metric.better(self.result.difference, 0.0) else "worse"


def paired(scores: Scores, metric: Metric, column: Column, first: str, second: str) -> SetDifference | None:
    """Two methods over the seeds that both have on a column; None if there is none."""
    a, b = (scores.results.of(column, method) for method in (first, second))
    pairs = [(seed, scores.of(metric, a[seed]), scores.of(metric, b[seed])) for seed in a if seed in b]
    known = [(seed, x, y) for seed, x, y in pairs if x is not None and y is not None]
    if not known:
        return None
    return SetDifference(
        np.array([x[0] - y[0] for _, x, y in known]),
        np.stack([x[1] - y[1] for _, x, y in known], axis=1),
        scores.n_items(column, [seed for seed, _, _ in known]),
    )


def compare(scores: Scores, metric: Metric, column: Column, first: str, second: str) -> Comparison | None:
    """First minus second on one column: paired bootstrap over items within seeds."""
    found = paired(scores, metric, column, first, second)
    return None if found is None else compare_over_seeds(found.points, found.samples, found.n_items)


def compare_pooled(
    scores: Scores, metric: Metric, columns: Sequence[Column], first: str, second: str
) -> tuple[Comparison, list[Column]] | None:
    """First minus second, mean over the columns that both have; and those columns.

    Columns of one data set (strengths of a shift) share their items and seeds: they are averaged seed by seed
    and sample by sample first, over the seeds that all of them have. Data sets are then pooled as fixed sets
    (`pooled_difference`), each with as much weight as it has columns.
    """
    of_set: dict[str, list[Column]] = {}
    for column in columns:
        if _common_seeds(scores, metric, column, first, second):
            of_set.setdefault(column.dataset, []).append(column)
    sets, used = [], []
    for own in of_set.values():
        seeds = sorted(set.intersection(*(_common_seeds(scores, metric, c, first, second) for c in own)))
        if not seeds:
            continue
        found = [_on_seeds(scores, metric, c, first, second, seeds) for c in own]
        sets.append(
            SetDifference(
                np.mean([points for points, _ in found], axis=0),
                np.mean([samples for _, samples in found], axis=0),
                max(scores.n_items(c, seeds) for c in own),
                float(len(own)),
            )
        )
        used += own
    return (pooled_difference(sets), used) if sets else None


def _common_seeds(scores: Scores, metric: Metric, column: Column, first: str, second: str) -> set[int]:
    a, b = (scores.results.of(column, method) for method in (first, second))
    return {s for s in a if s in b and scores.of(metric, a[s]) and scores.of(metric, b[s])}


def _on_seeds(
    scores: Scores, metric: Metric, column: Column, first: str, second: str, seeds: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Differences [S] and their samples [R, S]."""
    points, samples = [], []
    for seed in seeds:
        pair = [scores.of(metric, scores.results.of(column, method)[seed]) for method in (first, second)]
        assert pair[0] is not None and pair[1] is not None, "seeds were chosen to have scores"  # noqa: PT018
        points.append(pair[0][0] - pair[1][0])
        samples.append(pair[0][1] - pair[1][1])
    return np.array(points), np.stack(samples, axis=1)


def differences(scores: Scores, metric: Metric, family: Family, reference: str) -> list[Difference]:
    """The reference against every other method over the family; Holm over these."""
    found = []
    for other in scores.results.methods:
        pooled = compare_pooled(scores, metric, family.columns, reference, other)
        if other != reference and pooled is not None:
            base = _level(scores, metric, pooled[1], other)
            share = pooled[0].difference / base if base else float("nan")
            found.append(Difference(other, None, pooled[0], 1.0, len(pooled[1]), share))
    return _corrected(found)


def differences_by_set(scores: Scores, metric: Metric, family: Family, reference: str) -> list[Difference]:
    """The reference against every other method on each column of the family; Holm over all of them."""
    found = []
    for column in family.columns:
        for other in scores.results.methods:
            result = None if other == reference else compare(scores, metric, column, reference, other)
            if result is not None:
                base = _level(scores, metric, [column], other)
                found.append(
                    Difference(other, column, result, 1.0, 1, result.difference / base if base else 0)
                )
    return _corrected(found)


def _level(scores: Scores, metric: Metric, columns: Sequence[Column], method: str) -> float:
    values = [list(scores.points(metric, column, method).values()) for column in columns]
    return float(np.mean([np.mean(own) for own in values if own])) if any(values) else 0.0


def _corrected(found: list[Difference]) -> list[Difference]:
    adjusted = holm([d.result.p_value for d in found])
    return [replace(d, adjusted=float(p)) for d, p in zip(found, adjusted, strict=True)]


def level_with_best(
    scores: Scores, metric: Metric, columns: Sequence[Column], best: str, others: Sequence[str]
) -> set[str]:
    """Methods among the others whose 95 % interval of the difference to the best holds 0.

    Nothing is corrected: with few seeds a correction would call nearly every method level.
    """
    found = [(other, compare_pooled(scores, metric, columns, best, other)) for other in others]
    return {other for other, pooled in found if pooled is not None and pooled[0].p_value > ALPHA}
