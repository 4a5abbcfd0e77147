"""Scores on clean test labels, and in plain words who won."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dcpc_bench.demo.run import Run
from dcpc_bench.statistics import PairedRun, holm, paired_bootstrap

OURS = "DCPC"


@dataclass(frozen=True)
class Difference:
    """Mean accuracy of DCPC minus that of `other`, with its 95 % interval and Holm-adjusted p-value."""

    other: str
    difference: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class Results:
    """Everything that the page and the terminal show.

    Attributes:
        runs: one row per training: `method`, `seed`, `accuracy`, `cross_entropy` (nats, of the clean label),
            `seconds`, `trainable_parameters`.
        summary: one row per method: mean `accuracy`, its 95 % interval `low`, `high`, `sd` over seeds (NaN
            with one seed), mean `cross_entropy`, mean `seconds`, `trainable_parameters`.
        differences: DCPC against each other method.
        statement: who won.
    """

    runs: pd.DataFrame
    summary: pd.DataFrame
    differences: list[Difference]
    statement: str

    def as_json(self) -> dict[str, Any]:
        """The same as plain numbers and strings; no value (NaN) becomes null."""
        return {
            "statement": self.statement,
            "summary": _records(self.summary),
            "differences": [vars(difference) for difference in self.differences],
            "runs": _records(self.runs),
        }


def score(runs: Sequence[Run], clean: np.ndarray) -> Results:
    """Score runs against the clean labels, int [I], of the test items."""
    rows = [
        {
            "method": run.method,
            "seed": run.seed,
            "accuracy": float(_hits(run, clean).mean()),
            "cross_entropy": float(
                -np.log(run.probabilities[np.arange(len(clean)), clean].clip(1e-12)).mean()
            ),
            "seconds": run.seconds,
            "trainable_parameters": run.trainable_parameters,
        }
        for run in runs
    ]
    table = pd.DataFrame(rows)
    by_method = {name: [run for run in runs if run.method == name] for name in table["method"].unique()}
    summary = pd.DataFrame([_summarise(table, name, own, clean) for name, own in by_method.items()])
    differences = _differences(by_method, clean)
    return Results(table, summary, differences, winner_statement(summary, differences))


def winner_statement(summary: pd.DataFrame, differences: Sequence[Difference]) -> str:
    """One or two sentences: whether DCPC won, and whether the seeds and items suffice to say so.

    Args:
        summary: columns `method` and `accuracy` (means).
        differences: DCPC against each other method.
    """
    accuracy = dict(zip(summary["method"], summary["accuracy"], strict=True))
    best_other = max((name for name in accuracy if name != OURS), key=lambda name: accuracy[name])
    ours, theirs = accuracy[OURS], accuracy[best_other]
    against = next(difference for difference in differences if difference.other == best_other)
    bounds = f"{_points(against.low, unit=False)} to {_points(against.high)}"
    interval = f"{_points(against.difference)}, 95 % interval {bounds}"
    scores = f"{100 * ours:.1f} % of the clean test labels right, {best_other} {100 * theirs:.1f} %"
    if np.isclose(ours, theirs, atol=1e-9):
        return f"DCPC did not win: it and {best_other} tie. DCPC got {scores} ({interval})."
    if ours < theirs:
        firm = "" if against.high < 0 else " The interval includes zero, so this may be luck."
        return f"DCPC did not win: {best_other} is ahead. DCPC got {scores} ({interval}).{firm}"
    if all(difference.low > 0 for difference in differences):
        return f"DCPC won: it got {scores} ({interval})."
    unsure = " and ".join(difference.other for difference in differences if difference.low <= 0)
    return (
        f"DCPC has the highest mean, but its lead over {unsure} is within the range of luck: "
        f"DCPC got {scores} ({interval})."
    )


def _points(difference: float, *, unit: bool = True) -> str:
    return f"{100 * difference:+.1f}{' points' if unit else ''}".replace("-", "−")


def _hits(run: Run, clean: np.ndarray) -> np.ndarray:
    return (run.probabilities.argmax(axis=1) == clean).astype(float)  # [I]


def _summarise(table: pd.DataFrame, name: str, runs: Sequence[Run], clean: np.ndarray) -> dict[str, Any]:
    own = table[table["method"] == name]
    items = np.arange(len(clean))
    # Against zero the comparison of two methods gives one method's own interval, over seeds and items.
    accuracy = paired_bootstrap([PairedRun(items, _hits(run, clean), np.zeros(len(clean))) for run in runs])
    return {
        "method": name,
        "accuracy": accuracy.difference,
        "low": max(accuracy.low, 0.0),
        "high": min(accuracy.high, 1.0),
        "sd": own["accuracy"].std(),
        "cross_entropy": own["cross_entropy"].mean(),
        "seconds": own["seconds"].mean(),
        "trainable_parameters": int(own["trainable_parameters"].iloc[0]),
    }


def _differences(by_method: dict[str, list[Run]], clean: np.ndarray) -> list[Difference]:
    items = np.arange(len(clean))
    others = [name for name in by_method if name != OURS]
    found = [
        paired_bootstrap(
            [
                PairedRun(items, _hits(ours, clean), _hits(theirs, clean))
                for ours, theirs in zip(by_method[OURS], by_method[name], strict=True)
            ]
        )
        for name in others
    ]
    adjusted = holm([comparison.p_value for comparison in found])
    return [
        # Two seeds make an interval so wide that it leaves what accuracies can differ by.
        Difference(
            name, comparison.difference, max(comparison.low, -1.0), min(comparison.high, 1.0), float(p_value)
        )
        for name, comparison, p_value in zip(others, found, adjusted, strict=True)
    ]


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            str(key): None if isinstance(value, float) and np.isnan(value) else value
            for key, value in row.items()
        }
        for row in table.to_dict("records")
    ]
