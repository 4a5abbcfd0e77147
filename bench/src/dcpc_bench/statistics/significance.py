"""Is one method better than another, beyond the luck of the seeds and of the test items?

Two sources of variation are added, each by what estimates it best:

    Var = Var_seed + Var_item
    Var_seed = 1/(S(S−1)) Σ_s (d_s − d̄)²      variance of the mean difference over S seeds, S − 1 degrees
    Var_item = variance of d̄ over bootstrap samples of the items, both methods on the same sample

With the usual percentile interval over resampled seeds, three to five seeds find too little variance and far
too many differences; here |d̄| / √Var is compared with a quantile between those of Student's t for the seeds
and for the items, each weighed by its share of the variance (Cochran and Cox 1950). In simulation this stays
within the nominal rate at every mixture of the two, where Welch's and Satterthwaite's degrees of freedom let 8 %
through instead of 5 % at three seeds. Items vary within a seed too, so part of their variance is counted in
both terms: the test errs on the careful side.

Over several data sets see `dcpc_bench.statistics.pooling`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtrit

REPLICATES = 1000
"""Bootstrap samples of the items: the standard error that they give is known to 2 %."""

Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""A score, [...], from records [N, …] and weights [..., N]; NaN where no record has weight."""


@dataclass(frozen=True)
class Comparison:
    """The mean difference (first − second) of a score over seeds, with its confidence interval.

    Attributes:
        difference: mean over seeds.
        low: lower end of the confidence interval.
        high: upper end of the confidence interval.
        p_value: two-sided, of no difference.
        n_seeds: S; with one seed the interval speaks of the items only, not of other seeds.
    """

    difference: float
    low: float
    high: float
    p_value: float
    n_seeds: int


def weighted_mean(records: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Σ_i w_i x_i / Σ_i w_i of records [N], such as losses or hits, for weights [..., N]."""
    return quotient(weights @ records, weights.sum(axis=-1))


def weighted_ratio(records: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Σ_i w_i x_i / Σ_i w_i n_i of records [N, 2], such as an item's errors x and judgements n."""
    sums = weights @ records  # [..., 2]
    return quotient(sums[..., 0], sums[..., 1])


def macro_f1(records: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean F1 over the labels that occur, of records [N, 2]: true and predicted label positions."""
    size = int(records.max()) + 1
    truth, predicted = (np.eye(size)[records[:, r]] for r in (0, 1))  # [N, C]
    hits = weights @ (truth * predicted)  # [..., C]
    total = weights @ (truth + predicted)  # [..., C]
    f1 = 2 * hits / np.where(total > 0, total, 1)
    return quotient(f1.sum(axis=-1), (total > 0).sum(axis=-1))


def quotient(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below by element, NaN where `below` is not positive."""
    return np.where(below > 0, above / np.where(below > 0, below, 1), np.nan)


def draw_items(n_items: int, replicates: int, seed: int) -> np.ndarray:
    """How often each item is drawn in each bootstrap sample, float [R, n_items]; every row sums to n_items."""
    rng = np.random.default_rng(seed)
    share = np.full(n_items, 1 / n_items)
    return rng.multinomial(n_items, share, size=replicates).astype(np.float64)


def compare_over_seeds(
    points: np.ndarray, samples: np.ndarray, n_items: int, *, confidence: float = 0.95
) -> Comparison:
    """The interval of a mean over seeds whose scores on bootstrap samples of the items are known already.

    For many comparisons on the same samples this saves drawing and scoring anew.

    Args:
        points: the difference of each seed on all its items, float [S].
        samples: the same on each sample of the items, float [R, S]; NaN where a sample missed a seed's items.
        n_items: distinct items over the seeds.
        confidence: of the interval.
    """
    seed_variance = float(points.var(ddof=1)) / len(points) if len(points) > 1 else 0.0
    return from_variances(
        float(points.mean()),
        seed_variance,
        float(np.nanvar(mean_over_seeds(samples), ddof=1)),
        degrees=(max(len(points) - 1, 1), max(n_items - 1, 1)),
        n_seeds=len(points),
        confidence=confidence,
    )


def mean_over_seeds(samples: np.ndarray) -> np.ndarray:
    """Means [R] of samples [R, S] over the seeds that a sample says something about (a small test set can be
    missed by all drawn items)."""
    known = np.isfinite(samples)
    return quotient(np.where(known, samples, 0.0).sum(axis=1), known.sum(axis=1))


def from_variances(
    estimate: float,
    seed_variance: float,
    item_variance: float,
    *,
    degrees: tuple[float, float],
    n_seeds: int,
    confidence: float = 0.95,
) -> Comparison:
    """Interval and p-value of an estimate from its two variances and their degrees of freedom (seeds, items)."""
    variance = seed_variance + item_variance
    if variance == 0:
        return Comparison(estimate, estimate, estimate, 1.0 if estimate == 0 else 0.0, n_seeds)
    share, error = seed_variance / variance, variance**0.5
    half = _quantile(1 - confidence, share, degrees) * error
    p_value = _p_value(abs(estimate) / error, share, degrees)
    return Comparison(estimate, estimate - half, estimate + half, p_value, n_seeds)


def _quantile(alpha: float, share: float, degrees: tuple[float, float]) -> float:
    """Two-sided critical value at level alpha, where `share` of the variance comes from the seeds."""
    of_seeds, of_items = (-float(stdtrit(d, alpha / 2)) for d in degrees)
    return share * of_seeds + (1 - share) * of_items


def _p_value(ratio: float, share: float, degrees: tuple[float, float]) -> float:
    """The level at which the critical value equals the ratio of difference to standard error."""
    smallest = 1e-12
    if _quantile(smallest, share, degrees) <= ratio:
        return smallest
    return float(brentq(lambda alpha: _quantile(alpha, share, degrees) - ratio, smallest, 1.0))
