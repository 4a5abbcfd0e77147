"""Distances between a predicted label distribution p and the annotators' distribution q, one per item.

All functions take p and q as float [I, C] with rows that sum to 1 and return float [I]; the score of a set is
the mean over its items, every item weighing the same however many judgements it has (the convention of the
Learning with Disagreements shared tasks, Leonardelli et al. 2023).
"""

from __future__ import annotations

import numpy as np
from scipy.special import rel_entr
from scipy.stats import binom

from dcpc.probabilities import SMALLEST


def cross_entropy(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """−Σ_c q_c ln p_c in nats, [I]; its minimum over p is the entropy of q, not 0."""
    return -(q * np.log(np.clip(p, SMALLEST, 1 - SMALLEST))).sum(axis=1)


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Jensen-Shannon *divergence* in bits, [I], from 0 (equal) to 1 (no label in common).

    ½ KL(p‖m) + ½ KL(q‖m) with m = ½(p + q) and log₂ (Lin 1991): the square of scipy's distance, not its root.
    """
    divergence = _jensen_shannon_by_label(p, q).sum(axis=1)  # [I]
    # Rounding can leave −1e-17 for equal distributions, of which scipy's distance takes the root: NaN.
    return np.maximum(divergence, 0.0)


def expected_jensen_shannon(p: np.ndarray, n: np.ndarray) -> np.ndarray:
    """What `jensen_shannon` is on average between p and the shares of n judgements drawn from p, bits, [I].

    A prediction that is right keeps this much, because a handful of judgements never shows the whole distribution;
    only what lies above can be learned. Exact: the divergence is a sum over labels, and the number of judgements
    with one label is binomial.

    Args:
        p: distributions, float [I, C].
        n: number of judgements of each item, int [I].
    """
    expected = np.zeros(len(p))
    for size in np.unique(n):
        own = np.clip(p[n == size], 0.0, 1.0)  # [i, C]
        for k in range(size + 1):  # judgements with a label
            by_label = _jensen_shannon_by_label(own, np.full_like(own, k / size))
            expected[n == size] += (binom.pmf(k, size, own) * by_label).sum(axis=1)
    return expected


def _jensen_shannon_by_label(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    m = (p + q) / 2
    return (rel_entr(p, m) + rel_entr(q, m)) / (2 * np.log(2))  # [I, C]


def manhattan(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Σ_c |p_c − q_c|, [I], from 0 to 2."""
    return np.abs(p - q).sum(axis=1)


def soft_micro_f1(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """2 Σ_c min(p_c, q_c) / Σ_c (p_c + q_c), [I], from 0 to 1.

    F1 with the shared mass as true positives. Where both sum to 1 it equals 1 − Σ_c |p_c − q_c| / 2, so its
    mean over items is at once the micro average.
    """
    return 2 * np.minimum(p, q).sum(axis=1) / (p + q).sum(axis=1)
