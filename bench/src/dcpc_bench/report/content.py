"""Everything that the report says, computed once for its Markdown and its page."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from dcpc.evaluation.distribution import expected_jensen_shannon
from dcpc_bench.report.headlines import Headline, headlines
from dcpc_bench.report.metrics import METRICS, TESTED
from dcpc_bench.report.results import Column, Family, Results, families
from dcpc_bench.report.scores import Scores
from dcpc_bench.report.tables import MetricTable, metric_table
from dcpc_bench.rig.budgets import Budget, uneven
from dcpc_bench.statistics.significance import REPLICATES

CONSTANT = 0.01
"""Largest standard deviation over items, of the probability of any label, of a prediction that is constant."""


@dataclass(frozen=True)
class Content:
    """What a store amounts to.

    Attributes:
        results, scores: the store, and the scores of its cells.
        reference: the method that the others are compared with.
        families: kinds of training data.
        tables: one per metric and family that has values; those of tested metrics first in each family.
        headlines: reference against the best other method.
    """

    results: Results
    scores: Scores
    reference: str
    families: list[Family]
    tables: list[MetricTable]
    headlines: list[Headline]

    def of_family(self, family: Family, *, tested: bool) -> list[MetricTable]:
        """The family's tables of tested metrics, or of the others."""
        own = [t for t in self.tables if t.family == family]
        return [t for t in own if (t.metric in TESTED) == tested]

    @property
    def commits(self) -> list[str]:
        """Commits that the cells were made with."""
        return sorted({cell.commit for cell in self.results.cells})

    @property
    def state(self) -> list[str]:
        """What the reader must know about the store: what is missing, failed, or cannot be compared."""
        results = self.results
        return [
            *_missing(results),
            *_reference(self),
            *_failures(results),
            *_unequal(self),
            *_budgets(results),
            *_single_seeds(results),
            *_constant(results),
            *_edges(results),
            *_few_judgements(results, self.families, self.reference),
        ]


def make_content(results: Results, reference: str, *, replicates: int = REPLICATES) -> Content:
    """Compute all tables and comparisons.

    Args:
        results: what the store says.
        reference: the method that the others are compared with; it need not have cells.
        replicates: bootstrap samples of the items.
    """
    scores = Scores(results, replicates)
    scores.warm(TESTED)
    kinds = families(results.columns)
    found = [metric_table(scores, metric, family, reference) for family in kinds for metric in METRICS]
    tables = [table for table in found if table is not None]
    return Content(results, scores, reference, kinds, tables, headlines(tables, reference))


def _missing(results: Results) -> list[str]:
    missing = results.missing
    if not missing:
        return []
    sets = {f"{column.dataset} ({column.condition})" for column, _ in missing}
    n_sets = len({column for column, _ in results.planned})
    return [
        f"{len(results.cells):,} of {results.n_planned:,} cells are there, {sum(missing.values()):,} are still to "
        f"be run, on {len(sets)} of {n_sets} sets (a data set under one condition). Methods are compared only on "
        "sets and seeds that both have, and means and ranks over sets only include sets that every ranked method "
        "has."
    ]


def _reference(content: Content) -> list[str]:
    if content.reference in content.results.methods:
        return []
    return [f"There is no cell of {content.reference} yet: nothing is compared with it."]


def _failures(results: Results) -> list[str]:
    n = len(results.failures)
    return [f"{n} {'cell' if n == 1 else 'cells'} failed; the reasons are listed below."] if n else []


def _single_seeds(results: Results) -> list[str]:
    single = [c for c in results.columns if max(len(results.of(c, m)) for m in results.methods) == 1]
    if not single:
        return []
    where = "Every set has" if len(single) == len(results.columns) else f"{len(single)} sets have"
    return [
        f"{where} one seed so far: intervals and p-values there speak of the test items only, not of other seeds, "
        "and nothing is called better or worse."
    ]


def _constant(results: Results) -> list[str]:
    """Cells that learned nothing of the text: decisions then hang on differences that mean nothing."""
    found = Counter(c.method for c in results.cells if c.distribution.std(axis=0).max() < CONSTANT)
    if not found:
        return []
    total = Counter(c.method for c in results.cells)
    named = ", ".join(f"{method} {n} of {total[method]}" for method, n in found.most_common())
    return [f"Cells that predict much the same distribution for every item, whatever it says: {named}."]


def _edges(results: Results) -> list[str]:
    found = [s for s in results.selections if s.on_edge]
    if not found:
        return []
    axes = Counter(axis for s in found for axis in s.on_edge)
    named = ", ".join(f"{axis} {n}" for axis, n in axes.most_common())
    return [
        f"{len(found)} of {len(results.selections)} searches ended on the edge of their grid ({named}): a wider one "
        "might have found better settings."
    ]


def _budgets(results: Results) -> list[str]:
    spent = (Budget(c.column, c.method, c.parameters, c.steps) for c in results.cells)
    return uneven(spent, results.plan["suite"]["backbone"])


def _unequal(content: Content) -> list[str]:
    short = sorted({t.family.name for t in content.tables if t.unequal()})
    if not short:
        return []
    return [
        f"Some methods have fewer seeds than others in: {', '.join(short)}. Tables give the number of seeds where it "
        "is below the column's."
    ]


def _few_judgements(results: Results, kinds: list[Family], method: str) -> list[str]:
    """A sentence on the Jensen-Shannon divergence of a method that its own predictions lead to expect.

    Means over seeds, then over the columns of a family. Columns that have one judgement per test item, as clean
    labels are, do not count: nobody disagrees there. Empty where no column is left.
    """
    parts = []
    for family in kinds:
        shares = expected_and_measured(results, family, method)
        if shares is not None:
            parts.append(f"{shares[0]:.4f} of {shares[1]:.4f} bits ({family.name})")
    if not parts:
        return []
    return [
        f"Even if the predictions of {method} were right, part of their Jensen-Shannon divergence would remain, as "
        f"test items have few judgements: {', '.join(parts)}. Only what lies above can be learned."
    ]


def expected_and_measured(results: Results, family: Family, method: str) -> tuple[float, float] | None:
    """Jensen-Shannon divergence to expect of a method if it were right, and what it has, bits; means over columns.

    None where no column has test items with two judgements.
    """
    found = [shares for column in family.columns if (shares := _remaining(results, column, method))]
    if not found:
        return None
    expected, measured = np.mean(found, axis=0)
    return float(expected), float(measured)


def _remaining(results: Results, column: Column, method: str) -> tuple[float, float] | None:
    found = []
    for seed, cell in results.of(column, method).items():
        test = results.splits.get((column, seed))
        if test is not None and test.judgements.max() > 1:
            expected = expected_jensen_shannon(cell.distribution, test.judgements).mean()
            found.append((expected, cell.metrics["jensen_shannon"]))
    if not found:
        return None
    expected, measured = np.mean(found, axis=0)
    return float(expected), float(measured)
