"""Sliders: a judgement speaks for the steps around it too, so that one nobody chose has a sensible probability.

Who put a slider at 62 might as well have put it at 61 or 64. The target of a judgement y among the C steps is

    t_k(y) = (1 − w) · 1[k = y] + w · S_s(k | y)

with S_s(k | y) ∝ F((|k − y| + ½) / s) − F((|k − y| − ½) / s), F the logistic distribution function: the cumulative
logistic model of ordinal labels with equal steps and its middle at y, cut off at the ends of the range. Soft targets
over ordered classes: Díaz & Marathe, *Soft Labels for Ordinal Regression*, CVPR 2019.

The width s and the share w are those under which the training judgements predict each other best: the kernel
estimate of their distribution, leaving each out in turn (Habbema et al., 1974). Sliders that people leave at 0, 50
and 100 so get a small share, smooth ones the whole.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy.special import expit

from dcpc.data.annotations import Annotations

SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)
"""w that are tried. Not 0: with it a step that nobody chose has no probability at all."""
NARROWEST = 0.5
"""s in steps; about half of what it spreads stays at the step itself."""
WIDTHS = 10
"""s that are tried, from `NARROWEST` to a quarter of the range."""


def slider_targets(annotations: Annotations) -> np.ndarray | None:
    """The target of a judgement of each step, float [C, C], rows sum to 1; None where there is no slider."""
    if annotations.range is None:
        return None
    return fitted_targets(annotations.counts.sum(axis=0))


def fitted_targets(counts: np.ndarray) -> np.ndarray:
    """Targets [C, C] with the share and width under which judgements predict each other best.

    Args:
        counts: judgements of each step, int [C].
    """
    n_steps = len(counts)
    widths = np.geomspace(NARROWEST, max(NARROWEST, n_steps / 4), WIDTHS)
    tried = (targets(n_steps, width, share) for width, share in product(widths, SHARES))
    return max(tried, key=lambda each: left_out_likelihood(counts, each))


def targets(n_steps: int, width: float, share: float) -> np.ndarray:
    """t_k(y) for every y and k, float [C, C].

    Args:
        n_steps: C.
        width: s, in steps.
        share: w, from 0 to 1.
    """
    steps = np.arange(n_steps)
    distance = np.abs(steps[:, None] - steps)  # [C, C]
    # Of the negative side, where the logistic function keeps its small values apart.
    spread = expit((0.5 - distance) / width) - expit((-0.5 - distance) / width)
    spread /= spread.sum(axis=1, keepdims=True)
    return (1 - share) * np.eye(n_steps) + share * spread


def left_out_likelihood(counts: np.ndarray, of_steps: np.ndarray) -> float:
    """Log-likelihood of each judgement under the mean target of the others; −∞ for fewer than two judgements.

    Args:
        counts: judgements of each step, int [C].
        of_steps: t, float [C, C].
    """
    given = counts > 0
    others = (counts @ of_steps - np.diag(of_steps))[given]
    if counts.sum() < 2 or (others <= 0).any():
        return float("-inf")
    return float(counts[given] @ np.log(others / (counts.sum() - 1)))
