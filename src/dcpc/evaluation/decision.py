"""Which label to decide for, given a predicted distribution.

The most probable label is the best decision for accuracy, not for macro-F1: on unbalanced sets a well shrunk
model then votes for the majority class alone. Every method gets one additive offset per label, fitted on
noisy validation labels:

    decision(p) = argmax_c (ln p_c + b_c),   b = argmax macro-F1(decision(p), noisy labels)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dcpc.evaluation.distribution import SMALLEST
from dcpc.evaluation.inputs import check_codes, check_probabilities

CANDIDATES = 100
"""Offsets tried per label and sweep: quantiles of the points where some decision changes."""
SWEEPS = 5
"""At most so often all labels are revisited; two or three suffice in practice."""


def decide(probabilities: ArrayLike, offsets: np.ndarray) -> np.ndarray:
    """Label positions, int [I], from distributions [I, C] and offsets [C] on the log probabilities."""
    p = check_probabilities(probabilities)
    return (np.log(np.maximum(p, SMALLEST)) + offsets).argmax(axis=1)


def fit_offsets(probabilities: ArrayLike, labels: ArrayLike) -> np.ndarray:
    """Offsets that maximise macro-F1 on validation labels, float [C], by coordinate ascent from zero.

    A label's offset moves only where that raises macro-F1; among equally good offsets the one nearest to
    where it was wins, so that labels without evidence keep the most probable decision.

    Args:
        probabilities: out-of-sample predicted distributions, one row per validation judgement, float [V, C].
        labels: noisy label positions, int [V]; never clean or test labels.
    """
    p = check_probabilities(probabilities)  # [V, C]
    n_classes = p.shape[1]
    truth = check_codes(labels, len(p), n_classes, "validation labels")
    log_p = np.log(np.maximum(p, SMALLEST))  # [V, C]
    offsets = np.zeros(n_classes)
    best = _macro_f1(truth, (log_p + offsets).argmax(axis=1)[None], n_classes)[0]
    for _ in range(SWEEPS):
        before = best
        for c in range(n_classes):
            tried, decisions = _candidates(log_p, offsets, c)  # [T], [T, V]
            scores = _macro_f1(truth, decisions, n_classes)  # [T]
            winner = np.lexsort((np.abs(tried - offsets[c]), -scores))[0]
            if scores[winner] > best + 1e-12:
                best, offsets[c] = scores[winner], tried[winner]
        if best == before:
            break
    return offsets - offsets.mean()  # only differences matter


def _candidates(log_p: np.ndarray, offsets: np.ndarray, c: int) -> tuple[np.ndarray, np.ndarray]:
    """Offsets of label c between the points where decisions change, [T], and the decisions there, [T, V]."""
    others = log_p + offsets  # [V, C]
    others[:, c] = -np.inf
    turning = np.unique(others.max(axis=1) - log_p[:, c])  # [V]: item i is decided c above its turning point
    middles = np.concatenate([[turning[0] - 1], (turning[1:] + turning[:-1]) / 2, [turning[-1] + 1]])
    if len(middles) > CANDIDATES:
        middles = np.quantile(middles, np.linspace(0, 1, CANDIDATES))
    chosen = log_p[:, c] + middles[:, None] > others.max(axis=1)  # [T, V]
    return middles, np.where(chosen, c, others.argmax(axis=1))


def _macro_f1(truth: np.ndarray, decisions: np.ndarray, n_classes: int) -> np.ndarray:
    """Macro-F1 over the labels that occur, [T], of T decision rules [T, V] for the same labels [V]."""
    total, count = np.zeros(len(decisions)), np.zeros(len(decisions))
    for c in range(n_classes):
        said, is_c = decisions == c, truth == c  # [T, V], [V]
        size = said.sum(axis=1) + is_c.sum()  # [T]
        total += 2 * (said & is_c).sum(axis=1) / np.maximum(size, 1)
        count += size > 0
    return total / count
