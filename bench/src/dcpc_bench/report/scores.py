"""Scores of every cell on all its test items and on bootstrap samples of them, each computed once."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from dcpc.errors import DataError
from dcpc_bench.report.metrics import Metric
from dcpc_bench.report.results import Cell, Column, Results
from dcpc_bench.statistics.significance import REPLICATES, draw_items


class Scores:
    """Scores by cell, made when first asked for.

    All cells of a data set are scored on the same samples of its items (whatever the condition, method or seed),
    so any two of them are paired, and so are their means over conditions.

    Args:
        results: what the store says.
        replicates: bootstrap samples, R.
    """

    def __init__(self, results: Results, replicates: int = REPLICATES) -> None:
        self.results, self.replicates = results, replicates
        self._ids: dict[str, np.ndarray] = {}
        self._drawn: dict[str, np.ndarray] = {}
        self._n_items: dict[tuple[Column, tuple[int, ...]], int] = {}
        self._weights: tuple[tuple[Column, int], np.ndarray] | None = None
        self._scores: dict[tuple[str, str], tuple[float, np.ndarray] | None] = {}

    def of(self, metric: Metric, cell: Cell) -> tuple[float, np.ndarray] | None:
        """The score on all items, and on each sample [R]; None where the cell has no such score.

        Raises:
            DataError: the store lacks the cell's test items, or has another number of them.
        """
        key = (metric.name, cell.key)
        if key not in self._scores:
            self._scores[key] = self._score(metric, cell)
        return self._scores[key]

    def points(self, metric: Metric, column: Column, method: str) -> dict[int, float]:
        """Seed to the value that the store has of a metric; seeds without a finite one are left out."""
        values = {s: c.metrics.get(metric.name, np.nan) for s, c in self.results.of(column, method).items()}
        return {seed: value for seed, value in values.items() if np.isfinite(value)}

    def n_items(self, column: Column, seeds: list[int]) -> int:
        """Distinct test items of a column over seeds."""
        key = (column, tuple(seeds))
        if key not in self._n_items:
            items = [self.results.splits[column, s].items for s in seeds]
            self._n_items[key] = len(np.unique(np.concatenate(items)))
        return self._n_items[key]

    def _score(self, metric: Metric, cell: Cell) -> tuple[float, np.ndarray] | None:
        if metric.statistic is None or metric.records is None:
            return None
        test = self.results.splits.get((cell.column, cell.seed))
        if (
            test is None
            or cell.distribution.shape != test.counts.shape
            or len(cell.decisions) != len(test.items)
        ):
            raise DataError(
                f"the test items of {cell.key} are missing or not as many as its predictions",
                fix="Remove the cell's line from records.jsonl; it is run again.",
            )
        found = metric.records(cell, test)
        if found is None:
            return None
        counted, records = found
        weights = self._sampled(cell.column, cell.seed)[:, counted]  # [R, N]
        return float(metric.statistic(records, np.ones(len(counted)))), metric.statistic(records, weights)

    def _sampled(self, column: Column, seed: int) -> np.ndarray:
        """How often each test item of a column and seed is drawn, [R, I]; the last answer is kept."""
        if self._weights is None or self._weights[0] != (column, seed):
            name = column.dataset
            if name not in self._drawn:
                splits = [test.items for (c, _), test in self.results.splits.items() if c.dataset == name]
                self._ids[name] = np.unique(np.concatenate(splits))
                # A number of its own for each data set: their samples are independent.
                number = zlib.crc32(name.encode())
                self._drawn[name] = draw_items(len(self._ids[name]), self.replicates, number)
            codes = np.searchsorted(self._ids[name], self.results.splits[column, seed].items)
            self._weights = ((column, seed), self._drawn[name][:, codes])
        return self._weights[1]

    def warm(self, metrics: Sequence[Metric], columns: Sequence[Column] | None = None) -> None:
        """Score all cells (of some columns), those with the same test items one after the other: the fast order."""
        cells = [c for c in self.results.cells if columns is None or c.column in columns]
        for cell in sorted(cells, key=lambda c: (c.column, c.seed)):
            for metric in metrics:
                self.of(metric, cell)
