"""Write the table of docs/adapt.md from the committed rows results/adapt_curve.jsonl.

Run: python bench/scripts/adapt_table.py
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pages import write_page
from readme_tables import replaced

from dcpc_bench.report.document import markdown_table

ROOT = Path(__file__).resolve().parents[2]
ROWS = ROOT / "results" / "adapt_curve.jsonl"
PAGE = ROOT / "docs" / "adapt.md"
METHODS = ("adapt", "bias", "refit")
RESAMPLES = 2_000


def sums(rows: pd.DataFrame) -> np.ndarray:
    """Judgements tested, wrong ones and log-loss of each held-out annotator, those of all seeds below each other."""
    return np.concatenate([np.array(found) for found in rows.sort_values("seed")["annotators"]])


def change(own: np.ndarray, population: np.ndarray) -> list[str]:
    """Log-loss and error per judgement less the population's, with 95 % intervals over annotators.

    Args:
        own: sums of a method, [A, 3].
        population: those of the population, of the same annotators.
    """
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(own), size=(RESAMPLES, len(own)))
    found = []
    for column, scale, digits in ((2, 1, 3), (1, 100, 1)):
        difference, tested = own[:, column] - population[:, column], population[:, 0]
        low, high = (
            np.quantile(difference[drawn].sum(axis=1) / tested[drawn].sum(axis=1), (0.025, 0.975)) * scale
        )
        mean = scale * difference.sum() / tested.sum()
        found.append(f"{mean:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})".replace("-", "−"))
    return found


def lines(rows: pd.DataFrame) -> list[str]:
    """A set, a number of judgements and a method per row."""
    body: list[Sequence[str]] = []
    for dataset, of_set in rows.groupby("dataset", sort=False):
        base = of_set[of_set["method"] == "population"]
        everybody = sums(base)
        loss, error = (
            everybody[:, 2].sum() / everybody[:, 0].sum(),
            everybody[:, 1].sum() / everybody[:, 0].sum(),
        )
        n_people = f"{len(everybody)} annotators, {len(base)} seeds"
        body.append([f"**{dataset}** ({n_people})", "0", "population", f"{loss:.3f}", f"{100 * error:.1f}"])
        for n in sorted(set(of_set["n"]) - {0}):
            for method in METHODS:
                own = of_set[(of_set["n"] == n) & (of_set["method"] == method)]
                if own.empty:
                    continue
                same = base[base["seed"].isin(own["seed"])]
                both = own[own["seed"].isin(same["seed"])]
                seeds = "" if len(both) == len(base) else f" ({len(both)} of the seeds)"
                body.append(["", str(n), method + seeds, *change(sums(both), sums(same))])
    head = ["set", "judgements", "method", "log-loss, nats", "error, %"]
    return markdown_table(head, body, left=3)


def page() -> str:
    """The page with its table as the rows have it."""
    rows = pd.read_json(ROWS, lines=True)
    return replaced(PAGE.read_text(encoding="utf-8"), "adapt-curve", lines(rows))


if __name__ == "__main__":
    write_page(PAGE, page, __doc__)
