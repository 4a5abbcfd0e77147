"""The tables: a metric of every method on every column of a family, and the reference against the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from dcpc_bench.report.comparisons import Difference, differences, differences_by_set, level_with_best
from dcpc_bench.report.metrics import Metric
from dcpc_bench.report.results import Column, Family
from dcpc_bench.report.scores import Scores
from dcpc_bench.statistics.ranks import Ranking, rank_methods

BEST, TIED = "best", "tied"


@dataclass(frozen=True)
class MetricTable:
    """A metric on a family: M methods, N columns.

    Attributes:
        metric, family, methods, columns: what it shows; methods and columns with a value at least.
        means: over seeds, float [M, N]; NaN where there is no cell.
        spreads: standard deviation over seeds, float [M, N]; NaN below two seeds.
        seeds: number of seeds, int [M, N].
        marks: `best`, `tied` (within the 95 % interval of the best of its column) or "", [M][N].
        overall: mean over the `complete` columns, float [M]; NaN for methods that lack one of them.
        overall_marks: as marks, for `overall`.
        ranks: mean rank over the data sets of the complete columns, float [M]; NaN as above.
        ranking: Friedman's test and critical difference; None below three methods or two data sets.
        complete: columns that enter `overall` and `ranks`.
        pooled: reference against every other method, over the family; empty without statistic.
        by_set: the same on each column.
    """

    metric: Metric
    family: Family
    methods: list[str]
    columns: list[Column]
    means: np.ndarray
    spreads: np.ndarray
    seeds: np.ndarray
    marks: list[list[str]]
    overall: np.ndarray
    overall_marks: list[str]
    ranks: np.ndarray
    ranking: Ranking | None
    complete: list[Column]
    pooled: list[Difference]
    by_set: list[Difference]

    @property
    def ranked(self) -> list[str]:
        """Methods that have a mean rank, the best first."""
        order = np.argsort(self.ranks, kind="stable")
        return [self.methods[i] for i in order if np.isfinite(self.ranks[i])]

    def counts(self, other: str) -> tuple[int, int, int]:
        """Columns where the 95 % interval of the difference is all better than 0, holds 0, is all worse.

        Columns with one seed are not counted.
        """
        sides = [d.side(self.metric) for d in self.by_set if d.other == other and d.enough_seeds]
        return sides.count(1), sides.count(0), sides.count(-1)

    def ahead(self, other: str) -> int:
        """Columns where the reference's mean is better than another's, significantly or not."""
        own = [d.result.difference for d in self.by_set if d.other == other]
        return sum(self.metric.better(d, 0.0) for d in own)

    def unequal(self) -> bool:
        """Whether some method has fewer seeds on a column than another, though it has some."""
        return bool(((self.seeds > 0) & (self.seeds < self.seeds.max(axis=0))).any())


def metric_table(scores: Scores, metric: Metric, family: Family, reference: str) -> MetricTable | None:
    """The table of a metric on a family; None if no cell has a value."""
    methods = [m for m in scores.results.methods if any(scores.points(metric, c, m) for c in family.columns)]
    columns = [c for c in family.columns if any(scores.points(metric, c, m) for m in methods)]
    if not methods:
        return None
    scores.warm([metric], columns)
    values = [[list(scores.points(metric, c, m).values()) for c in columns] for m in methods]
    means = np.array([[np.mean(v) if v else np.nan for v in row] for row in values])  # [M, N]
    rows, kept = complete_block(np.isfinite(means))
    several = len(rows) > 1  # the mean of one method alone is no comparison, and it has no rank
    complete, level = _common(scores, metric, [methods[i] for i in rows], [columns[i] for i in kept])
    overall, ranks = np.full(len(methods), np.nan), np.full(len(methods), np.nan)
    ranking = None
    if complete and several:
        overall[rows] = level.mean(axis=1)
        by_dataset = _by_dataset(level, complete)  # [rows, data sets]
        sign = -1 if metric.higher_is_better else 1
        ranks[rows] = rankdata(sign * by_dataset, axis=0).mean(axis=1)
        if by_dataset.shape[0] >= 3 and by_dataset.shape[1] >= 2:
            ranking = rank_methods(by_dataset.T, higher_is_better=metric.higher_is_better)
    tested = metric.statistic is not None and reference in methods
    marks = [_marks(scores, metric, [c], methods, means[:, i]) for i, c in enumerate(columns)]
    return MetricTable(
        metric,
        family,
        methods,
        columns,
        means,
        spreads=np.array([[np.std(v, ddof=1) if len(v) > 1 else np.nan for v in row] for row in values]),
        seeds=np.array([[len(v) for v in row] for row in values]),
        marks=[list(row) for row in zip(*marks, strict=True)],
        overall=overall,
        overall_marks=_marks(scores, metric, complete, methods, overall),
        ranks=ranks,
        ranking=ranking,
        complete=complete if several else [],
        pooled=differences(scores, metric, family, reference) if tested else [],
        by_set=differences_by_set(scores, metric, family, reference) if tested else [],
    )


def complete_block(there: np.ndarray) -> tuple[list[int], list[int]]:
    """Rows and columns of a table [M, N] without gaps: the emptiest row or column is left out until none is.

    Of equally empty ones the column goes, and the last of them. Where that leaves one row, all rows and the
    columns that they share are kept instead, if there are any: the methods that a run did first would else be
    ranked against nobody.
    """
    shared = np.flatnonzero(there.all(axis=0)).tolist()
    rows, columns = list(range(there.shape[0])), list(range(there.shape[1]))
    while rows and columns and not there[np.ix_(rows, columns)].all():
        gaps = ~there[np.ix_(rows, columns)]
        of_rows, of_columns = gaps.mean(axis=1), gaps.mean(axis=0)
        if of_columns.max() >= of_rows.max():
            columns.pop(len(columns) - 1 - int(of_columns[::-1].argmax()))
        else:
            rows.pop(len(rows) - 1 - int(of_rows[::-1].argmax()))
    if len(rows) == 1 and shared:
        return list(range(there.shape[0])), shared
    return rows, columns


def _common(
    scores: Scores, metric: Metric, methods: list[str], columns: list[Column]
) -> tuple[list[Column], np.ndarray]:
    """Columns where all methods share a seed, and means over the shared seeds [M, N]."""
    kept, level = [], []
    for column in columns:
        points = [scores.points(metric, column, method) for method in methods]
        seeds = set.intersection(*(set(p) for p in points))
        if seeds:
            kept.append(column)
            level.append([np.mean([p[s] for s in seeds]) for p in points])
    return kept, np.array(level).T


def _by_dataset(level: np.ndarray, columns: list[Column]) -> np.ndarray:
    """Means over the columns of each data set, [M, data sets]: strengths of a shift are no sets of their own."""
    names = [column.dataset for column in columns]
    return np.stack(
        [level[:, [n == name for n in names]].mean(axis=1) for name in dict.fromkeys(names)], axis=1
    )


def _marks(
    scores: Scores, metric: Metric, columns: list[Column], methods: list[str], means: np.ndarray
) -> list[str]:
    known = [i for i in range(len(methods)) if np.isfinite(means[i])]
    if len(known) < 2:  # nobody to be better than
        return [""] * len(methods)
    best = max(known, key=lambda i: means[i] if metric.higher_is_better else -means[i])
    others = [methods[i] for i in known if i != best]
    tied = level_with_best(scores, metric, columns, methods[best], others)
    return [BEST if i == best else TIED if m in tied else "" for i, m in enumerate(methods)]
