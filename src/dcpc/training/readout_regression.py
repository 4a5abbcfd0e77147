"""The regression behind the readout: judgements on pooled states, with annotators' effects; convex, by L-BFGS."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dcpc.regression.logistic import Judged, fit_logistic
from dcpc.regression.ridges import choose_ridges

RIDGES = tuple(10.0 ** (k / 2) for k in range(13))
"""λ_w for standardised states, from weak to strong; the loss is summed over judgements."""
EFFECT_RIDGES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1e4)
"""λ_u, the inverse of the effects' variance; the strongest is as good as no effect."""
FOLDS = 4
MOST_DIRECTIONS = 1_024
"""Of more directions of the states, the widest: enough for a linear map."""


@dataclass(frozen=True)
class Regression:
    """A logistic ridge regression of judgements on standardised states, all in float32.

    Attributes:
        centre: c [D].
        spread: s [D].
        weight: W [C,D].
        bias: b [C].
        effects: u of the annotators [A,C]; None where none is known.
    """

    centre: np.ndarray
    spread: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    effects: np.ndarray | None

    def logits(self, states: np.ndarray) -> np.ndarray:
        """[I,C] of states [I,D]."""
        return (states - self.centre) / self.spread @ self.weight.T + self.bias


def fit_readout(judged: Judged) -> Regression:
    """Fit, with the ridges that predict held-out judgements best.

    Args:
        judged: judgements of items whose features are their states [I,D].
    """
    states = judged.features
    centre, spread = states.mean(axis=0), states.std(axis=0) + 1e-6
    standardised = ((states - centre) / spread).astype(np.float64)
    # The ridge is the same in any rotated basis, and in that of the singular vectors there are at most I directions.
    _, _, basis = np.linalg.svd(standardised, full_matrices=False)
    basis = basis[:MOST_DIRECTIONS]  # [R,D]
    rotated = replace(judged, features=standardised @ basis.T)  # [I,R]
    folds = np.random.default_rng(0).permutation(len(states)) % FOLDS
    knows = len(np.unique(judged.annotators[judged.annotators >= 0])) > 1
    ridges = choose_ridges(rotated, folds, RIDGES, EFFECT_RIDGES if knows else None)
    fitted = fit_logistic(rotated, ridges.ridge, ridges.effect_ridge)
    return Regression(
        centre.astype(np.float32),
        spread.astype(np.float32),
        (fitted.weights.T @ basis).astype(np.float32),
        fitted.bias.astype(np.float32),
        fitted.effects.astype(np.float32) if knows else None,
    )
