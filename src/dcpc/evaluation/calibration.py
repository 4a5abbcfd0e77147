"""Whether predicted probabilities mean what they say, judged by the single votes and not by the majority."""

from __future__ import annotations

import numpy as np

N_BINS = 15
"""Bins of the expected calibration error (Guo et al. 2017)."""


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


def brier(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Expected squared error against one vote, Σ_k q_k Σ_c (p_c − 1[c = k])² = Σ_c p_c² − 2 Σ_c p_c q_c + 1.

    Brier's own score (1950) with all labels summed, float [I], from 0 to 2; twice the usual value for two
    labels. Where annotators disagree its minimum is above 0.

    Args:
        p: predicted distributions, float [I, C].
        q: the annotators' distributions, float [I, C].
    """
    return (p**2).sum(axis=1) - 2 * (p * q).sum(axis=1) + 1
