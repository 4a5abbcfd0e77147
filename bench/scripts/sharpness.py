"""How certain the predictions of a store are: what calibration on validation judgements makes of their divergence.

Of a handful of judgements the Jensen-Shannon divergence rewards predictions that are more certain than people are
(docs/metrics.md), so that a method which is too certain has a lower one than a calibrated method that knows as much.
Every method gets here what it lacks for a fair comparison, from noisy validation judgements alone:

    softmax(ln p / T)       T > 1: less certain. Fitted by cross-entropy, with a prior ln T ~ N(0, 0.2^2)
    softmax(ln p_T / R)     R < 1: as certain as the divergence rewards in expectation, were p_T the truth
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from dcpc.data.counts import soft_labels
from dcpc.evaluation.distribution import cross_entropy, expected_jensen_shannon, jensen_shannon
from dcpc_bench.rig.store import Store

PRIOR_STD = 0.2
LEAST = 1e-6
"""Of a probability, before its logarithm is scaled."""
REWARDED = np.linspace(0.4, 1.2, 33)
"""Temperatures among which the one is looked for that the divergence rewards."""
TEMPERATURE, PREDICTED, CALIBRATED, CERTAIN, PROPER = (
    "Temperature that the validation judgements ask for",
    "Jensen-Shannon divergence, bits, as predicted",
    "Jensen-Shannon divergence, bits, calibrated",
    "Jensen-Shannon divergence, bits, as certain as it rewards",
    "Cross-entropy, nats, calibrated",
)
DECIMALS = {TEMPERATURE: 2, PREDICTED: 4, CALIBRATED: 4, CERTAIN: 4, PROPER: 3}


def scaled(p: np.ndarray, temperature: float) -> np.ndarray:
    """softmax(ln p / T), [I, C]."""
    return softmax(np.log(np.maximum(p, LEAST)) / temperature, axis=1)


def fitted_temperature(p: np.ndarray, counts: np.ndarray) -> float:
    """T by which p [I, C] predicts judgements best, of which there are `counts` [I, C]."""
    logits = np.log(np.maximum(p, LEAST))

    def loss(log_t: float) -> float:
        likelihood = (counts * log_softmax(logits / np.exp(log_t), axis=1)).sum()
        return float(log_t**2 / (2 * PRIOR_STD**2) - likelihood)

    return float(np.exp(minimize_scalar(loss, bounds=(-1.5, 1.5), method="bounded").x))


def rewarded_temperature(p: np.ndarray, n: int) -> float:
    """R by which p [I, C] has the lowest divergence that is to be expected from n judgements of each item."""
    sizes = np.full(len(p), n)
    losses = [expected_jensen_shannon(p, sizes, scaled(p, r)).mean() for r in REWARDED]
    return float(REWARDED[int(np.argmin(losses))])


def cell_figures(cell: dict[str, Any], split: dict[str, Any]) -> dict[str, float]:
    """The figures of one cell; what is fitted is fitted to its validation judgements."""
    seen, p = (np.array(cell[name], dtype=float) for name in ("validation_distribution", "distribution"))
    given, counts = (np.array(split[name]) for name in ("validation_counts", "counts"))
    q, n = soft_labels(counts), int(np.median(counts.sum(axis=1)))
    p = p / p.sum(axis=1, keepdims=True)
    temperature = fitted_temperature(seen, given)
    calibrated = scaled(p, temperature)
    certain = scaled(calibrated, rewarded_temperature(scaled(seen, temperature), n))
    return {
        TEMPERATURE: temperature,
        PREDICTED: float(jensen_shannon(p, q).mean()),
        CALIBRATED: float(jensen_shannon(calibrated, q).mean()),
        CERTAIN: float(jensen_shannon(certain, q).mean()),
        PROPER: float(cross_entropy(calibrated, q).mean()),
    }


def sharpness(folder: Path, methods: Sequence[str]) -> pd.DataFrame:
    """A figure per row and a method per column: means over the sets of a store, of the means over their seeds.

    Of every set those seeds count for which all methods have a cell.
    """
    records = list(Store(folder).records().values())
    splits = {_where(r): r for r in records if r["kind"] == "split"}
    rows = [
        {
            "where": _where(r)[:2],
            "seed": r["seed"],
            "method": r["method"],
            **cell_figures(r, splits[_where(r)]),
        }
        for r in records
        if r["kind"] == "cell" and r["status"] == "done" and r["method"] in methods
    ]
    table = pd.DataFrame(rows)
    every = table.groupby(["where", "seed"])["method"].transform("nunique") == len(methods)
    by_set = table[every].groupby(["where", "method"])[list(DECIMALS)].mean()
    return by_set.groupby("method").mean().T[list(methods)]


def _where(record: dict[str, Any]) -> tuple[str, str, int]:
    return record["dataset"], record["condition"], record["seed"]
