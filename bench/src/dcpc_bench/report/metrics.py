"""The metrics that the report shows, and how each is compared item by item."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dcpc.evaluation.distribution import brier, cross_entropy, jensen_shannon
from dcpc_bench.report.results import Cell, TestItems
from dcpc_bench.statistics.significance import Statistic, macro_f1, weighted_mean, weighted_ratio

Records = Callable[[Cell, TestItems], "tuple[np.ndarray, np.ndarray] | None"]
"""Positions of the items that count, [N], and their records, [N] or [N, 2]; None where there are none."""


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: as in `Cell.metrics`.
        title: what tables call it.
        higher_is_better: its direction.
        factor: what values are multiplied by to be shown; 100 shows per cent, and differences in points.
        digits: decimals shown.
        statistic: the score from records of items; None where only the mean over seeds is shown.
        records: takes them from a cell.
    """

    name: str
    title: str
    higher_is_better: bool
    factor: float = 1.0
    digits: int = 3
    statistic: Statistic | None = None
    records: Records | None = None

    @property
    def short(self) -> str:
        """The title without its unit."""
        return self.title.rpartition(", ")[0] or self.title

    def show(self, value: float, *, sign: bool = False) -> str:
        """`71.3`, or `+1.2` with sign; a dash for NaN."""
        if not np.isfinite(value):
            return "–"
        return f"{self.factor * value:{'+' if sign else ''}.{self.digits}f}".replace("-", "−")

    def better(self, a: float, b: float) -> bool:
        """Whether a is better than b."""
        return a > b if self.higher_is_better else a < b


Labels = Callable[[Cell], np.ndarray]
"""One label position per item, int [I]."""


def _decisions(cell: Cell) -> np.ndarray:
    return cell.decisions


def _most_probable(cell: Cell) -> np.ndarray:
    return cell.distribution.argmax(axis=1)


def _against_majority(labels: Labels) -> Records:
    """Majority and predicted label, [N, 2], of the items that have a majority."""

    def records(cell: Cell, test: TestItems) -> tuple[np.ndarray, np.ndarray] | None:
        clear = np.flatnonzero(test.majority >= 0)
        if not len(clear):
            return None
        return clear, np.stack([test.majority[clear], labels(cell)[clear]], axis=1)

    return records


def _hits(labels: Labels) -> Records:
    pairs = _against_majority(labels)

    def records(cell: Cell, test: TestItems) -> tuple[np.ndarray, np.ndarray] | None:
        found = pairs(cell, test)
        return None if found is None else (found[0], (found[1][:, 0] == found[1][:, 1]).astype(np.float64))

    return records


def _against_votes(distance: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Records:
    """A distance of predicted and judged distribution of every item, [I]."""
    return lambda cell, test: (np.arange(len(test.items)), distance(cell.distribution, test.soft_labels))


def _person_errors(cell: Cell, test: TestItems) -> tuple[np.ndarray, np.ndarray] | None:
    if cell.person_errors is None:
        return None
    return np.arange(len(test.items)), np.stack([cell.person_errors, test.judgements], axis=1)


METRICS = (
    Metric("macro_f1", "Macro-F1, %", True, 100, 1, macro_f1, _against_majority(_decisions)),
    Metric("accuracy", "Accuracy, %", True, 100, 1, weighted_mean, _hits(_decisions)),
    Metric(
        "jensen_shannon",
        "Jensen-Shannon divergence, bits",
        False,
        1,
        4,
        weighted_mean,
        _against_votes(jensen_shannon),
    ),
    Metric("judgement_error", "Judgement error, %", False, 100, 1, weighted_ratio, _person_errors),
    Metric("cross_entropy", "Cross-entropy, nats", False, 1, 3, weighted_mean, _against_votes(cross_entropy)),
    Metric("brier", "Brier score", False, 1, 3, weighted_mean, _against_votes(brier)),
    Metric(
        "macro_f1_argmax",
        "Macro-F1 of the most probable labels, %",
        True,
        100,
        1,
        macro_f1,
        _against_majority(_most_probable),
    ),
    Metric(
        "accuracy_argmax",
        "Accuracy of the most probable labels, %",
        True,
        100,
        1,
        weighted_mean,
        _hits(_most_probable),
    ),
    Metric("consensus_judgement_error", "Judgement error of the consensus, %", False, 100, 1),
    Metric("mean_annotator_error", "Mean annotator error, %", False, 100, 1),
    Metric("manhattan", "Manhattan distance", False),
    Metric("soft_micro_f1", "Soft micro-F1, %", True, 100, 1),
    Metric("wasserstein", "Wasserstein distance, label steps", False),
    Metric("ece", "Calibration error", False),
)
"""Those with a statistic are tested and come first."""

TESTED = tuple(metric for metric in METRICS if metric.statistic is not None)
