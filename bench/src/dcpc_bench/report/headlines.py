"""The reference against the best of the other methods, one line per metric and family."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dcpc.evaluation.multiplicity import holm
from dcpc_bench.methods import FORMS, METHODS
from dcpc_bench.report.comparisons import ALPHA, Difference
from dcpc_bench.report.tables import MetricTable


@dataclass(frozen=True)
class Headline:
    """The reference and the best other method of one table.

    Attributes:
        table: where it comes from.
        reference: the method's name.
        own, other: mean of the reference and of the best other method over the complete columns.
        difference: over the columns that both have; its `other` is the best other method.
        adjusted: p-value after Holm over the headlines.
        top: columns where the reference is the best, or level with the best.
        shared: columns that the reference and another method have.
    """

    table: MetricTable
    reference: str
    own: float
    other: float
    difference: Difference
    adjusted: float
    top: int
    shared: int

    @property
    def verdict(self) -> str:
        """`win`, `tie` or `loss` of the reference; `one seed` where that is all there is."""
        if not self.difference.enough_seeds:
            return "one seed"
        if self.adjusted > ALPHA:
            return "tie"
        return "win" if self.table.metric.better(self.difference.result.difference, 0.0) else "loss"


def is_variant(method: str, reference: str) -> bool:
    """Whether a method is a form of the reference (`dcpc-paper` of `dcpc`), so that it is no rival."""
    return method.startswith(f"{reference}-") and (method in FORMS or method not in METHODS)


def headlines(tables: list[MetricTable], reference: str) -> list[Headline]:
    """One per tested table where the reference and a rival have cells on the same columns.

    The rival is the one with the best mean over the columns that all of them have. It is chosen on the test
    sets, which flatters it; p-values are corrected over the headlines, not for this choice.
    """
    found = []
    for table in tables:
        if not table.pooled:
            continue
        index = table.methods.index(reference)
        rivals = [
            i
            for i, m in enumerate(table.methods)
            if m != reference and not is_variant(m, reference) and np.isfinite(table.overall[i])
        ]
        difference = None
        if rivals and np.isfinite(table.overall[index]):
            sign = 1 if table.metric.higher_is_better else -1
            best = max(rivals, key=lambda i: sign * table.overall[i])
            difference = next((d for d in table.pooled if d.other == table.methods[best]), None)
        if difference is not None:
            top = sum(mark != "" for mark in table.marks[index])
            there = np.isfinite(table.means)
            shared = int((there[index] & (there.sum(axis=0) > 1)).sum())
            found.append((table, table.overall[index], table.overall[best], difference, top, shared))
    adjusted = holm([f[3].result.p_value for f in found])
    return [
        Headline(table, reference, float(own), float(other), difference, float(p), top, shared)
        for (table, own, other, difference, top, shared), p in zip(found, adjusted, strict=True)
    ]
