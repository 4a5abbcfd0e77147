"""Where annotators' preferences start: at the effects that explain what the readout leaves unexplained.

    P(y_j = c | item i, annotator a) = softmax(z_i + v_a)_c
    minimise −Σ_j ln P(y_j) + λ/2 Σ_a ‖v_a‖²

z_i are the readout's logits for the item from a regression that did not see it, so that v_a cannot hide behind what
the readout memorised. λ, the inverse of the effects' variance, is chosen by cross-validation over judgements. Short
trainings move an annotator's few numbers little: from zero they reached a quarter of the true differences.

The effects are then written as v_a ≈ u_a D in the tuner's terms: principal axes of the effects, scaled so that the
u_a have the spread of their prior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax

from dcpc.data import Annotations
from dcpc.training.step import annotator_mode
from dcpc.tuner import DCPCModel
from dcpc.tuner.annotators import AnnotatorPreferences

RIDGES = (1e4, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3)
"""λ from strong (as good as no effect) to weak."""
FOLDS = 4
LEAST_SPREAD = 1e-2
"""Of an axis, in logits; along weaker ones annotators do not differ."""


@dataclass(frozen=True)
class JudgedLogits:
    """J judgements of items whose logits are known.

    Attributes:
        logits: z of each judgement's item [J,C].
        labels: int [J].
        annotators: int [J], 0 … A − 1.
        n_annotators: A.
    """

    logits: np.ndarray
    labels: np.ndarray
    annotators: np.ndarray
    n_annotators: int

    def where(self, rows: np.ndarray) -> JudgedLogits:
        """The judgements of a mask [J]."""
        return JudgedLogits(self.logits[rows], self.labels[rows], self.annotators[rows], self.n_annotators)

    def loss(self, effects: np.ndarray) -> float:
        """Negative log-likelihood under effects [A,C], in nats."""
        log_p = log_softmax(self.logits + effects[self.annotators], axis=1)
        return float(-log_p[np.arange(len(self.labels)), self.labels].sum())


def fit_effects(judged: JudgedLogits, ridge: float) -> np.ndarray:
    """Effects v [A,C] at one λ; zero for annotators without a judgement."""
    shape = (judged.n_annotators, judged.logits.shape[1])
    target = np.eye(shape[1])[judged.labels]  # [J,C]

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        effects = flat.reshape(shape)
        log_p = log_softmax(judged.logits + effects[judged.annotators], axis=1)  # [J,C]
        gradient = ridge * effects
        np.add.at(gradient, judged.annotators, np.exp(log_p) - target)
        loss = -(target * log_p).sum() + 0.5 * ridge * (effects**2).sum()
        return float(loss), gradient.ravel()

    start = np.zeros(shape[0] * shape[1])
    return minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 100}).x.reshape(shape)


def choose_effects(judged: JudgedLogits) -> np.ndarray:
    """Effects v [A,C] at the λ that predicts held-out judgements of the same annotators best."""
    folds = np.random.default_rng(0).permutation(len(judged.labels)) % FOLDS

    def held_out(ridge: float) -> float:
        parts = ((judged.where(folds != k), judged.where(folds == k)) for k in range(FOLDS))
        return sum(rest.loss(fit_effects(seen, ridge)) for seen, rest in parts)

    losses = [held_out(ridge) for ridge in RIDGES]
    return fit_effects(judged, RIDGES[int(np.argmin(losses))])


def start_annotators(tuner: DCPCModel, annotations: Annotations, log_probabilities: np.ndarray) -> None:
    """Fit the effects of an adapter's annotators and start its preferences there, in the mode `output`.

    Args:
        tuner: with an acting adapter.
        annotations: the training judgements.
        log_probabilities: of their items, by a model that did not see them [I,C].
    """
    if annotator_mode(tuner) != "output":
        return
    numbers = tuner.annotator_index(list(annotations.annotators)).cpu().numpy()  # [A']
    preferences = tuner.preferences
    codes = annotations.annotator_codes  # [J], −1 unknown
    annotators = np.append(numbers, -1)[codes]  # code −1 reads the last entry, −1
    known = (annotators >= 0) & (annotators < preferences.size)
    if known.sum() < FOLDS:
        return
    judged = JudgedLogits(
        log_probabilities[annotations.item_codes[known]].astype(np.float64),
        annotations.label_codes[known],
        annotators[known],
        preferences.size,
    )
    start_preferences(preferences, choose_effects(judged))


@torch.no_grad()
def start_preferences(preferences: AnnotatorPreferences, effects: np.ndarray) -> None:
    """Write effects into u and D, so that u_a D is the nearest to v_a that K axes can give.

    Args:
        preferences: of the adapter, mode `output`.
        effects: v [A,C] in the order of the adapter's annotators.
    """
    assert preferences.direct_effect is not None  # mode `output`
    centred = effects - effects.mean(axis=1, keepdims=True)  # a constant over labels changes nothing
    _, _, axes = np.linalg.svd(centred, full_matrices=False)  # [R,C]
    axes = axes[: preferences.mean.shape[1]]  # [R,C], R ≤ K
    along = centred @ axes.T  # [A,R]
    spread = np.sqrt((along**2).mean(axis=0)) / preferences.prior_std  # [R]
    for k in np.flatnonzero(spread > LEAST_SPREAD):
        preferences.mean[:, k] = torch.from_numpy(along[:, k] / spread[k])
        preferences.direct_effect[k] = torch.from_numpy(axes[k] * spread[k])
