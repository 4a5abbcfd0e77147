"""Multinomial logistic regression with random effects of annotators, on fixed features.

    P(y_j = c | item i, annotator a) = softmax(W z_i + b + u_a)_c
    minimise −Σ_j ln P(y_j) + λ_w/2 ‖W‖² + λ_u/2 Σ_a ‖u_a‖² + 10⁻³/2 ‖b‖²

The ridge on u_a is a Gaussian prior N(0, 1/λ_u): annotators with few judgements shrink to the crowd. The slight
one on b keeps labels that a fold never saw finite.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import log_softmax, softmax

BIAS_RIDGE = 1e-3
MAX_ITERATIONS = 500


@dataclass(frozen=True)
class Logistic:
    """Fitted coefficients.

    Attributes:
        weights: W, float [H, C].
        bias: b, float [C].
        effects: u, float [A, C]; zeros without annotator effects.
        shares: each annotator's share of the training judgements, float [A]; the weights of the consensus.
    """

    weights: np.ndarray
    bias: np.ndarray
    effects: np.ndarray
    shares: np.ndarray

    def consensus(self, features: np.ndarray) -> np.ndarray:
        """Mean over the training judgements' annotators in probability space, [I, C] from [I, H]."""
        logits = features @ self.weights + self.bias  # [I, C]
        # Annotators without a training judgement have no weight; one chunk of annotators at a time.
        present = np.flatnonzero(self.shares)
        result = np.zeros_like(logits)
        for chunk in np.array_split(present, max(1, len(present) // 64)):
            each = softmax(logits[:, None] + self.effects[chunk], axis=-1)  # [I, chunk, C]
            result += np.einsum("iac,a->ic", each, self.shares[chunk])
        return result

    def of_annotator(self, features: np.ndarray, annotators: np.ndarray) -> np.ndarray:
        """What each annotator would say, [J, C] from [J, H] and int [J]; −1 gives the average effect, none."""
        effects = np.where((annotators >= 0)[:, None], self.effects[annotators], 0.0)  # [J, C]
        return softmax(features @ self.weights + self.bias + effects, axis=-1)


def fit_logistic(
    features: np.ndarray,
    labels: np.ndarray,
    annotators: np.ndarray,
    shape: tuple[int, int],
    ridge: float,
    effect_ridge: float | None = None,
) -> Logistic:
    """Fit by L-BFGS; the problem is convex, so there is one answer and no seed.

    Args:
        features: z of each judgement's item, float [J, H].
        labels: int [J]; or label distributions, float [J, C].
        annotators: int [J], 0 … A − 1; may be −1 where effects are off.
        shape: (A, C).
        ridge: λ_w.
        effect_ridge: λ_u; None: no annotator effects.
    """
    (n_judgements, hidden), (n_annotators, n_classes) = features.shape, shape
    with_effects = effect_ridge is not None
    known = annotators >= 0
    member = csr_array(
        (np.ones(known.sum()), (np.flatnonzero(known), annotators[known])), shape=(n_judgements, n_annotators)
    )  # [J, A]
    target = labels if labels.ndim == 2 else np.eye(n_classes)[labels]  # [J, C]
    cuts = np.cumsum([hidden, 1])
    rows = hidden + 1 + (n_annotators if with_effects else 0)
    penalty = np.repeat([ridge, BIAS_RIDGE, effect_ridge or 0.0], [hidden, 1, rows - hidden - 1])[:, None]

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        theta = flat.reshape(rows, n_classes)
        weights, bias, effects = np.split(theta, cuts)
        logits = features @ weights + bias  # [J, C]
        if with_effects:
            logits = logits + member @ effects
        log_p = log_softmax(logits, axis=-1)
        residual = np.exp(log_p) - target  # [J, C]
        parts = [features.T @ residual, residual.sum(axis=0, keepdims=True)]
        if with_effects:
            parts.append(member.T @ residual)
        loss = -(target * log_p).sum() + 0.5 * (penalty * theta**2).sum()
        return float(loss), (np.concatenate(parts) + penalty * theta).ravel()

    result = minimize(
        objective,
        np.zeros(rows * n_classes),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": MAX_ITERATIONS},
    )
    weights, bias, effects = np.split(result.x.reshape(rows, n_classes), cuts)
    if not with_effects:
        # One average annotator: the consensus is then the model itself.
        return Logistic(weights, bias[0], np.zeros((1, n_classes)), np.ones(1))
    counts = np.asarray(member.sum(axis=0)).ravel()  # [A]
    return Logistic(weights, bias[0], effects, counts / counts.sum())
