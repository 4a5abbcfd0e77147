"""Distances between a predicted label distribution p and the annotators' distribution q, one per item, and whether
predicted probabilities mean what they say, judged by the single votes and not by the majority.

Unless said otherwise, functions take p and q as float [I, C] with rows that sum to 1 and return float [I]; the score
of a set is the mean over its items, every item weighing the same however many judgements it has (the convention of
the Learning with Disagreements shared tasks, Leonardelli et al. 2023).
"""

from __future__ import annotations

import numpy as np
from scipy.special import rel_entr
from scipy.stats import binom

from dcpc.probabilities import SMALLEST

N_BINS = 15
"""Bins of the expected calibration error (Guo et al. 2017)."""


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


def expected_jensen_shannon(p: np.ndarray, n: np.ndarray, predicted: np.ndarray | None = None) -> np.ndarray:
    """What `jensen_shannon` is on average of a prediction and the shares of n judgements drawn from p, bits, [I].

    A prediction that is right keeps this much, because a handful of judgements never shows the whole distribution;
    only what lies above can be learned. Exact: the divergence is a sum over labels, and the number of judgements
    with one label is binomial.

    Args:
        p: distributions, float [I, C].
        n: number of judgements of each item, int [I].
        predicted: the prediction, float [I, C]; None for p itself, one that is right.
    """
    expected, said = np.zeros(len(p)), p if predicted is None else predicted
    for size in np.unique(n):
        own, of_size = np.clip(p[n == size], 0.0, 1.0), said[n == size]  # [i, C]
        for k in range(size + 1):  # judgements with a label
            by_label = _jensen_shannon_by_label(of_size, np.full_like(own, k / size))
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


def wasserstein(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """First Wasserstein distance per item, Σ_{c<C} |F_p(c) − F_q(c)| with cumulative sums F, float [I].

    Neighbouring labels are one unit apart, so it is the mean number of label steps by which mass has to move:
    0 to C − 1.

    Args:
        p: predicted distributions over labels from low to high, float [I, C], rows sum to 1.
        q: the annotators' distributions, float [I, C], rows sum to 1.
    """
    return np.abs(np.cumsum(p - q, axis=1)[:, :-1]).sum(axis=1)


def brier(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Expected squared error against one vote, Σ_k q_k Σ_c (p_c − 1[c = k])² = Σ_c p_c² − 2 Σ_c p_c q_c + 1.

    Brier's own score (1950) with all labels summed, float [I], from 0 to 2; twice the usual value for two
    labels. Where annotators disagree its minimum is above 0.

    Args:
        p: predicted distributions, float [I, C].
        q: the annotators' distributions, float [I, C].
    """
    return (p**2).sum(axis=1) - 2 * (p * q).sum(axis=1) + 1


def expected_calibration_error(p: np.ndarray, q: np.ndarray, n_bins: int = N_BINS) -> float:
    """Σ_b |B_b| / I · |acc(B_b) − conf(B_b)| over equally wide confidence bins B_b, from 0 to 1.

    The confidence of an item is max_c p_c; its accuracy is q at that label, the share of annotators who chose
    the most probable label, so that a model which says 0.6 where six in ten agree is calibrated. Each item
    weighs the same. With as many judgements for every item this equals the usual error over judgements.

    Args:
        p: predicted distributions, float [I, C].
        q: the annotators' distributions, float [I, C].
        n_bins: number of bins over [0, 1].
    """
    label = p.argmax(axis=1)  # [I]
    rows = np.arange(len(p))
    confidence, accuracy = p[rows, label], q[rows, label]  # [I], [I]
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)  # [I]
    gaps = np.bincount(bins, weights=accuracy - confidence, minlength=n_bins)  # [n_bins]
    return float(np.abs(gaps).sum() / len(p))
