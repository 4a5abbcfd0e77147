"""Mean ranks of methods over data sets, and how far they must be apart to mean anything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import friedmanchisquare, rankdata, studentized_range

from dcpc.errors import UsageError


@dataclass(frozen=True)
class Ranking:
    """Ranks of M methods over N data sets (Demšar 2006).

    Attributes:
        mean_ranks: float [M]; 1 is best, ties share the mean of their ranks.
        friedman_p: p-value of all methods being equal (Friedman's χ²).
        critical_difference: two mean ranks at least this far apart differ (Nemenyi).
    """

    mean_ranks: np.ndarray
    friedman_p: float
    critical_difference: float


def critical_difference(n_methods: int, n_sets: int, alpha: float = 0.05) -> float:
    """Nemenyi's q_α √(M (M + 1) / (6 N)), q_α the studentised range of M means over √2."""
    quantile = float(studentized_range.ppf(1 - alpha, n_methods, np.inf)) / np.sqrt(2)
    return quantile * float(np.sqrt(n_methods * (n_methods + 1) / (6 * n_sets)))


def rank_methods(scores: ArrayLike, *, higher_is_better: bool, alpha: float = 0.05) -> Ranking:
    """Rank methods within each data set and average.

    Args:
        scores: one row per data set, one column per method, float [N, M].
        higher_is_better: whether rank 1 goes to the highest score.
        alpha: level of the critical difference.

    Raises:
        UsageError: fewer than three methods or two sets (the tests need them), or a score that is missing.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < 3:
        raise UsageError(f"mean ranks need two sets and three methods or more, got {table.shape}")
    if not np.isfinite(table).all():
        raise UsageError("every method needs a finite score on every set", fix="Leave out incomplete sets.")
    ranks = rankdata(-table if higher_is_better else table, axis=1)  # [N, M]
    equal = (table == table[:, :1]).all()
    p_value = 1.0 if equal else float(friedmanchisquare(*table.T).pvalue)
    return Ranking(ranks.mean(axis=0), p_value, critical_difference(table.shape[1], table.shape[0], alpha))
