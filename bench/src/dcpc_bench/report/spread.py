"""How much a method's result depends on its seed, against the reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dcpc_bench.report.scores import Scores
from dcpc_bench.report.tables import MetricTable
from dcpc_bench.statistics.significance import quotient

REPLICATES = 2000
FEWEST_SEEDS = 5
"""Of every column, for an interval."""


@dataclass(frozen=True)
class Spread:
    """The standard deviation over seeds of the reference, as a share of another method's.

    Attributes:
        other: the other method.
        own_sd, other_sd: root of the mean variance over the columns that both have, same seeds.
        ratio: own_sd / other_sd; below 1 the reference is the steadier one.
        low, high: 95 % percentile bootstrap over seeds within columns, both methods on the same seeds; NaN below
            `FEWEST_SEEDS`.
        seeds: the fewest seeds of a column.
    """

    other: str
    own_sd: float
    other_sd: float
    ratio: float
    low: float
    high: float
    seeds: int


def spreads(scores: Scores, table: MetricTable, reference: str) -> list[Spread]:
    """The reference against every other method, on columns where both have the same two seeds or more.

    The percentile bootstrap of a standard deviation is too narrow below about ten seeds, and no interval at all with
    three (in simulation it then holds the truth in 68 to 87 % of cases), so that none is given below five. A sample
    that draws one seed only has no spread and is drawn again.
    """
    found = []
    for other in table.methods:
        pairs = []
        for column in table.columns:
            own, theirs = (scores.points(table.metric, column, m) for m in (reference, other))
            seeds = [seed for seed in own if seed in theirs]
            if len(seeds) > 1:
                pairs.append(np.array([[own[s], theirs[s]] for s in seeds]))  # [S, 2]
        if other != reference and pairs:
            found.append(_spread(other, pairs))
    return found


def _spread(other: str, pairs: list[np.ndarray]) -> Spread:
    rng = np.random.default_rng(0)
    own, theirs = np.sqrt(np.mean([p.var(axis=0, ddof=1) for p in pairs], axis=0))
    variances = np.zeros((REPLICATES, 2))
    for pair in pairs:
        drawn = rng.integers(len(pair), size=(REPLICATES, len(pair)))
        while (alone := (drawn == drawn[:, :1]).all(axis=1)).any():
            drawn[alone] = rng.integers(len(pair), size=(int(alone.sum()), len(pair)))
        variances += pair[drawn].var(axis=1, ddof=1) / len(pairs)
    ratios = np.sqrt(quotient(variances[:, 0], variances[:, 1]))
    low, high = np.nanquantile(ratios, [0.025, 0.975]) if np.isfinite(ratios).any() else (np.nan, np.nan)
    if min(map(len, pairs)) < FEWEST_SEEDS:
        low = high = np.nan
    ratio = own / theirs if theirs else float("nan")
    return Spread(
        other, float(own), float(theirs), float(ratio), float(low), float(high), min(map(len, pairs))
    )
