"""How much of a divergence is left to a prediction that is right, because test items have few judgements."""

from __future__ import annotations

import numpy as np

from dcpc.evaluation.distribution import expected_jensen_shannon
from dcpc_bench.report.families import Family
from dcpc_bench.report.results import Column, Results


def remaining(results: Results, kinds: list[Family], method: str) -> list[str]:
    """A sentence on the Jensen-Shannon divergence of a method that its own predictions lead to expect.

    Means over seeds, then over the columns of a family. Columns that have one judgement per test item, as clean
    labels are, do not count: nobody disagrees there. Empty where no column is left.
    """
    parts = []
    for family in kinds:
        found = [shares for column in family.columns if (shares := _of_column(results, column, method))]
        if found:
            expected, measured = np.mean(found, axis=0)
            parts.append(f"{expected:.4f} of {measured:.4f} bits ({family.name})")
    if not parts:
        return []
    return [
        f"Even if the predictions of {method} were right, part of their Jensen-Shannon divergence would remain, as "
        f"test items have few judgements: {', '.join(parts)}. Only what lies above can be learned."
    ]


def _of_column(results: Results, column: Column, method: str) -> tuple[float, float] | None:
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
