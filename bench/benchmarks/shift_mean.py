"""DCPC's lead over the mean of simulated shifts, with an interval over seeds.

    python bench/benchmarks/shift_mean.py [--store results/shift-small-seeds] [--metric accuracy]

The conditions of a seed share items and annotators, so that their differences are not independent, but the seeds are:
the mean over all conditions with conflict is one number per seed and method, and what is printed are differences of
these, paired by seed, with 95 % intervals (Student's t).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

REFERENCE = "dcpc"


def means_by_seed(cells: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Mean over the conditions, one row per seed and one column per method; seeds that lack a cell are left out."""
    shifted = cells[(cells["metric"] == metric) & (cells["condition"] != "clean")]
    table = shifted.pivot_table(index="seed", columns=["method", "condition"], values="value").dropna()
    return table.T.groupby("method").mean().T


def lead(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """Mean of the paired differences and its 95 % interval."""
    low, high = stats.ttest_rel(first, second).confidence_interval(0.95)
    return (first - second).mean(), low, high


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, default=Path("results/shift-small-seeds"))
    parser.add_argument("--metric", default="accuracy", help="one that is shown in percent")
    arguments = parser.parse_args()
    cells = pd.read_parquet(arguments.store / "results.parquet")
    table = 100 * means_by_seed(cells, arguments.metric)
    print(f"{arguments.metric}, %, mean over all conditions with conflict and {len(table)} seeds")
    print(f"{REFERENCE}: {table[REFERENCE].mean():.1f}")
    for method in table.columns.drop(REFERENCE):
        mean, low, high = lead(table[REFERENCE].to_numpy(), table[method].to_numpy())
        print(f"{method}: {table[method].mean():.1f}, {REFERENCE} {mean:+.1f} ({low:+.1f} to {high:+.1f})")


if __name__ == "__main__":
    main()
