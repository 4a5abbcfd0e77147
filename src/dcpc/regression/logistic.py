"""Multinomial logistic regression with random effects of annotators, on fixed features.

    P(y_j = c | item i, annotator a) = softmax(W z_i + b + u_a)_c
    minimise −Σ_j ln P(y_j) + λ_w/2 ‖W‖² + λ_u/2 Σ_a ‖u_a‖² + 10⁻³/2 ‖b‖²

A judgement counts for its own label, or for a distribution over labels (`Judged.targets`).

The ridge on u_a is a Gaussian prior N(0, 1/λ_u): annotators with few judgements shrink to the crowd. The slight
one on b keeps labels that a fold never saw finite.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import softmax

BIAS_RIDGE = 1e-3
MAX_ITERATIONS = 500
LEAST_LOGIT = -300.0
MOST_AT_ONCE = 2**22
"""Numbers, of items by annotators, that are held at once."""


@dataclass(frozen=True)
class Judged:
    """J judgements of I items with features.

    Attributes:
        features: z of each item, float [I, H].
        items: of each judgement, int [J].
        labels: int [J].
        annotators: int [J], 0 … A − 1; −1 for unknown ones, who have no effect.
        n_annotators: A.
        n_classes: C.
        targets: label distribution that a judgement of each label speaks for, float [C, C]; None for the label alone.
        weights: how much each judgement counts, float [J]; None for 1 each.
    """

    features: np.ndarray
    items: np.ndarray
    labels: np.ndarray
    annotators: np.ndarray
    n_annotators: int
    n_classes: int
    targets: np.ndarray | None = None
    weights: np.ndarray | None = None

    def of_items(self, kept: np.ndarray) -> Judged:
        """The items of a mask [I], and their judgements."""
        rows = kept[self.items]
        return replace(
            self,
            features=self.features[kept],
            items=(np.cumsum(kept) - 1)[self.items[rows]],
            labels=self.labels[rows],
            annotators=self.annotators[rows],
            weights=None if self.weights is None else self.weights[rows],
        )

    @property
    def weight(self) -> np.ndarray:
        """How much each judgement counts, float [J]."""
        return np.ones(len(self.labels)) if self.weights is None else self.weights

    @cached_property
    def by_item(self) -> csr_array:
        """Sums over the judgements of each item, [I, J]."""
        return _indicator(self.items, np.arange(len(self.items)), (len(self.features), len(self.items)))

    @cached_property
    def by_annotator(self) -> csr_array:
        """Sums over the judgements of each annotator, [A, J]."""
        known = np.flatnonzero(self.annotators >= 0)
        return _indicator(self.annotators[known], known, (self.n_annotators, len(self.items)))


def _indicator(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> csr_array:
    return csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)


@dataclass(frozen=True)
class Logistic:
    """Fitted coefficients.

    Attributes:
        weights: W, float [H, C].
        bias: b, float [C].
        effects: u, float [A, C]; a single row of zeros without annotator effects.
        shares: each annotator's share of the training judgements, float [A]; the weights of the consensus.
    """

    weights: np.ndarray
    bias: np.ndarray
    effects: np.ndarray
    shares: np.ndarray

    def consensus(self, features: np.ndarray) -> np.ndarray:
        """Mean over the training judgements' annotators in probability space, [I, C] from [I, H]."""
        logits = features @ self.weights + self.bias  # [I, C]
        # Σ_a s_a softmax(z + v_a)_c = exp z_c Σ_a s_a exp v_ac / (exp z · exp v_a): two matrix products. Annotators
        # without a training judgement have no weight; one chunk of annotators at a time.
        present, of_items = np.flatnonzero(self.shares), _unnormalised(logits)
        result = np.zeros_like(logits)
        for chunk in np.array_split(present, max(1, len(present) * len(logits) // MOST_AT_ONCE)):
            of_annotators = _unnormalised(self.effects[chunk])  # [chunk, C]
            result += (self.shares[chunk] / (of_items @ of_annotators.T)) @ of_annotators
        return of_items * result

    def of_annotator(self, features: np.ndarray, annotators: np.ndarray) -> np.ndarray:
        """What each annotator would say, [J, C] from [J, H] and int [J]; −1 gives the average effect, none."""
        effects = np.where((annotators >= 0)[:, None], self.effects[annotators], 0.0)  # [J, C]
        return softmax(features @ self.weights + self.bias + effects, axis=-1)


def _unnormalised(logits: np.ndarray) -> np.ndarray:
    """exp of logits [n, C], the largest of each row as 1, and none so small that a product of two is 0."""
    return np.exp(np.maximum(logits - logits.max(axis=1, keepdims=True), LEAST_LOGIT))


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    """Of each row of [J, C]; scipy's takes three times as long on the few numbers of a small table."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def fit_logistic(judged: Judged, ridge: float, effect_ridge: float | None = None) -> Logistic:
    """Fit by L-BFGS; the problem is convex, so there is one answer and no seed.

    Args:
        judged: the judgements.
        ridge: λ_w.
        effect_ridge: λ_u; None: no annotator effects.
    """
    hidden, n_classes = judged.features.shape[1], judged.n_classes
    n_effects = 0 if effect_ridge is None else judged.n_annotators
    of_labels = np.eye(n_classes) if judged.targets is None else judged.targets
    weight = judged.weight[:, None]  # [J, 1]
    target = weight * of_labels[judged.labels]  # [J, C]
    of_judgements = judged.by_annotator.T  # [J, A]
    rows = hidden + 1 + n_effects
    penalty = np.repeat([ridge, BIAS_RIDGE, effect_ridge or 0.0], [hidden, 1, n_effects])[:, None]
    scale = 1 / np.sqrt(_curvature(judged, n_effects)[:, None] + penalty)  # [rows, 1]

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        theta = scale * flat.reshape(rows, n_classes)
        logits = (judged.features @ theta[:hidden] + theta[hidden])[judged.items]  # [J, C]
        if n_effects:
            logits = logits + of_judgements @ theta[hidden + 1 :]
        log_p = _log_softmax(logits)
        residual = weight * np.exp(log_p) - target  # [J, C]
        parts = [judged.features.T @ (judged.by_item @ residual), residual.sum(axis=0, keepdims=True)]
        if n_effects:
            parts.append(judged.by_annotator @ residual)
        loss = -(target * log_p).sum() + 0.5 * (penalty * theta**2).sum()
        return float(loss), (scale * (np.concatenate(parts) + penalty * theta)).ravel()

    start = np.zeros(rows * n_classes)
    # In these units the loss is about as curved in every direction, and a few dozen steps find the optimum.
    result = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": MAX_ITERATIONS})
    weights, bias, effects = np.split(scale * result.x.reshape(rows, n_classes), [hidden, hidden + 1])
    counts = np.bincount(judged.annotators[judged.annotators >= 0], minlength=n_effects)[:n_effects]
    if not counts.any():
        # One average annotator: the consensus is then the model itself.
        return Logistic(weights, bias[0], np.zeros((1, n_classes)), np.ones(1))
    return Logistic(weights, bias[0], effects, counts / counts.sum())


def _curvature(judged: Judged, n_effects: int) -> np.ndarray:
    """Second derivatives of the likelihood by each row of coefficients at p = 1/C, the largest there are, [rows]."""
    n_classes = judged.n_classes
    per_item = judged.by_item @ judged.weight  # [I]
    of_weights = (judged.features**2 * per_item[:, None]).sum(axis=0)  # [H]
    of_effects = (judged.by_annotator @ judged.weight)[:n_effects]  # [A]
    counts = np.concatenate([of_weights, [judged.weight.sum()], of_effects])
    return counts * (n_classes - 1) / n_classes**2
