"""Which label to decide for, given a predicted distribution.

The most probable label is the best decision for accuracy, not for macro-F1: on unbalanced sets a well shrunk
model then votes for the majority class alone. Every method gets one additive offset per label in two steps: noisy
validation labels say how far its probabilities can be trusted, and the offsets are best for the labels that the
probabilities, so corrected, lead to expect:

    q(p) = softmax(τ ln p)                           τ by maximum a posteriori
    decision(p) = argmax_c (ln p_c + o_c)            o = argmax E_{y ~ q} macro-F1(decision(p), y)

Offsets for the macro-F1 of the validation labels themselves follow the accidents of some hundred noisy labels, and a
bias per label fitted with τ follows those too: both were measured (docs/metrics.md, docs/research.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from dcpc.evaluation.inputs import check_codes, check_probabilities
from dcpc.probabilities import SMALLEST

PRIOR_PRECISION = 20.0
"""Of the normal prior of ln τ around zero: probabilities are believed until labels object."""
LARGEST_LOG_TEMPERATURE = 4.0
"""ln τ is sought between this and its negative."""
CANDIDATES = 100
"""Offsets tried per label and sweep: quantiles of the points where some decision changes."""
SWEEPS = 5
"""At most so often all labels are revisited; two or three suffice in practice."""


def decide(probabilities: ArrayLike, offsets: np.ndarray) -> np.ndarray:
    """Label positions, int [I], from distributions [I, C] and offsets [C] on the log probabilities."""
    return (_log(check_probabilities(probabilities)) + offsets).argmax(axis=1)


def fit_offsets(probabilities: ArrayLike, labels: ArrayLike) -> np.ndarray:
    """Offsets on ln p, float [C] of mean zero, that maximise the macro-F1 to expect.

    Args:
        probabilities: out-of-sample predicted distributions, one row per validation judgement, float [V, C].
        labels: noisy label positions, int [V]; never clean or test labels.
    """
    p = check_probabilities(probabilities)  # [V, C]
    truth = check_codes(labels, len(p), p.shape[1], "validation labels")
    log_p = _log(p)  # [V, C]
    expected = softmax(fit_temperature(p, truth) * log_p, axis=1)  # [V, C]
    # τ ln p + o decides as ln p + o / τ does, so that offsets are sought on ln p itself.
    offsets = best_offsets(log_p, expected)
    return offsets - offsets.mean()  # only differences matter


def fit_temperature(p: np.ndarray, labels: np.ndarray) -> float:
    """τ of softmax(τ ln p), at most so far from 1 as the labels ask for.

    Minimises Σ_v −ln q_v(y_v) + λ/2 ln² τ with λ = `PRIOR_PRECISION`.

    Args:
        p: predicted distributions, float [V, C].
        labels: label positions, int [V].
    """
    log_p, rows = _log(p), np.arange(len(p))

    def objective(log_temperature: float) -> float:
        log_q = log_softmax(np.exp(log_temperature) * log_p, axis=1)
        return float(-log_q[rows, labels].sum() + PRIOR_PRECISION / 2 * log_temperature**2)

    bounds = (-LARGEST_LOG_TEMPERATURE, LARGEST_LOG_TEMPERATURE)
    return float(np.exp(minimize_scalar(objective, bounds=bounds, method="bounded").x))


def best_offsets(scores: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Offsets [C] on scores [V, C] with the highest macro-F1, by coordinate ascent from zero.

    A label's offset moves only where that raises macro-F1; among equally good offsets the one nearest to where
    it was wins, so that labels without evidence keep the decision of the highest score.

    Args:
        scores: of every label, higher is likelier, float [V, C].
        expected: how probable every label is, float [V, C]; one-hot rows where labels are known.
    """
    n_classes = scores.shape[1]
    offsets = np.zeros(n_classes)
    best = _macro_f1(expected, scores.argmax(axis=1)[None])[0]
    for _ in range(SWEEPS):
        before = best
        for c in range(n_classes):
            tried, decisions = _candidates(scores, offsets, c)  # [T], [T, V]
            reached = _macro_f1(expected, decisions)  # [T]
            winner = np.lexsort((np.abs(tried - offsets[c]), -reached))[0]
            if reached[winner] > best + 1e-12:
                best, offsets[c] = reached[winner], tried[winner]
        if best == before:
            break
    return offsets


def _log(p: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(p, SMALLEST))


def _candidates(scores: np.ndarray, offsets: np.ndarray, c: int) -> tuple[np.ndarray, np.ndarray]:
    """Offsets of label c between the points where decisions change, [T], and the decisions there, [T, V]."""
    others = scores + offsets  # [V, C]
    others[:, c] = -np.inf
    turning = np.unique(others.max(axis=1) - scores[:, c])  # [V]: item i is decided c above its turning point
    middles = np.concatenate([[turning[0] - 1], (turning[1:] + turning[:-1]) / 2, [turning[-1] + 1]])
    if len(middles) > CANDIDATES:
        middles = np.quantile(middles, np.linspace(0, 1, CANDIDATES))
    chosen = scores[:, c] + middles[:, None] > others.max(axis=1)  # [T, V]
    return middles, np.where(chosen, c, others.argmax(axis=1))


def _macro_f1(expected: np.ndarray, decisions: np.ndarray) -> np.ndarray:
    """Macro-F1, [T], of T decision rules [T, V] for labels with probabilities [V, C].

    Expected hits over expected sizes, a ratio of means, which at some hundred labels is as good as the mean of
    the ratio. A label counts where it is decided for, else as far as it is likely to occur at all.
    """
    total, count = np.zeros(len(decisions)), np.zeros(len(decisions))
    for c in range(expected.shape[1]):
        said = decisions == c  # [T, V]
        size = said.sum(axis=1) + expected[:, c].sum()  # [T]
        total += 2 * (said @ expected[:, c]) / np.maximum(size, SMALLEST)
        count += np.where(said.any(axis=1), 1.0, 1.0 - (1.0 - expected[:, c]).prod())
    return total / count
