"""A linear probe on frozen embeddings, tuned as carefully as anything it is compared with.

With a narrow grid this baseline is easily beaten, and the victory means nothing. So: cross-validation by item on
the *noisy* training labels over seven orders of magnitude of the ridge (by cross-entropy), then of the annotator
effects, and decision offsets (by macro-F1) fitted on the same out-of-fold predictions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dcpc.baselines.probe.logistic import Logistic, fit_logistic
from dcpc.data.annotations import Annotations
from dcpc.errors import UsageError
from dcpc.evaluation.decision import decide, fit_offsets
from dcpc.evaluation.distribution import SMALLEST
from dcpc.evaluation.selection import Choice, choose_setting
from dcpc.evaluation.splits import folds_by_item

RIDGES = tuple(10.0**k for k in range(-1, 7))
"""λ_w for standardised features, whose loss is summed over judgements."""
EFFECT_RIDGES = tuple(10.0**k for k in range(-2, 5))
"""λ_u; the strongest is as good as no effect."""


@dataclass(frozen=True)
class LinearProbe:
    """A fitted probe.

    Attributes:
        model: coefficients for standardised features.
        centre: mean of the training features, float [H].
        spread: their standard deviation, float [H].
        offsets: decision offsets, float [C].
        choice: the chosen ridges, and whether one lies on the edge of its grid.
        held_out: for every judgement the consensus of its item, predicted by a probe that did not see the item,
            float [J, C].
    """

    model: Logistic
    centre: np.ndarray
    spread: np.ndarray
    offsets: np.ndarray
    choice: Choice
    held_out: np.ndarray

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Consensus distribution per item, [I, C] from embeddings [I, H]."""
        return self.model.consensus((features - self.centre) / self.spread)

    def of_annotators(self, features: np.ndarray, annotators: np.ndarray) -> np.ndarray:
        """What annotators would say, [J, C] from embeddings [J, H] and their positions, int [J]; −1 for unknown."""
        standardised = (features - self.centre) / self.spread
        own = self.model.of_annotator(standardised, annotators)
        unknown = annotators < 0
        if unknown.any():
            own[unknown] = self.model.consensus(standardised[unknown])
        return own

    def decisions(self, features: np.ndarray) -> np.ndarray:
        """Label position per item after the decision offsets, int [I] from embeddings [I, H]."""
        return decide(self.probabilities(features), self.offsets)

    @property
    def n_parameters(self) -> int:
        """Coefficients of the probe; those of the frozen encoder are not counted."""
        effects = self.model.effects.size if "effect_ridge" in self.choice.setting else 0
        return self.model.weights.size + self.model.bias.size + effects


@dataclass(frozen=True)
class _Judgements:
    """Standardised features [J, H], labels [J], annotators [J], (A, C) and the folds' masks over J."""

    features: np.ndarray
    labels: np.ndarray
    annotators: np.ndarray
    shape: tuple[int, int]
    folds: Sequence[np.ndarray]


def fit_linear_probe(
    features: np.ndarray,
    annotations: Annotations,
    *,
    annotator_effects: bool = False,
    ridges: Sequence[float] = RIDGES,
    effect_ridges: Sequence[float] = EFFECT_RIDGES,
    n_folds: int = 4,
    seed: int = 0,
) -> LinearProbe:
    """Choose by cross-validation, then fit on all judgements.

    Args:
        features: embeddings of the items, in the order of `annotations.item_ids`, float [I, H], for example of
            `dcpc.data.embeddings.embed_texts`.
        annotations: the noisy training judgements.
        annotator_effects: give every annotator an effect on the logits; the consensus averages over them.
        ridges: grid of λ_w, from weak to strong.
        effect_ridges: grid of λ_u, from weak to strong; searched at the chosen λ_w.
        n_folds: of the cross-validation, split by item.
        seed: of the folds.

    Raises:
        UsageError: features of other items, or effects without annotator ids.
        DataError: fewer items than folds.
    """
    if len(features) != annotations.n_items:
        raise UsageError(f"got embeddings of {len(features)} items for {annotations.n_items} annotated ones")
    if annotator_effects and len(annotations.annotators) < 2:
        raise UsageError(
            "annotator effects need annotator ids of at least two annotators",
            fix="Name the column of the annotator ids, or use the probe without effects.",
        )
    centre, spread = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-8)
    data = _Judgements(
        features=((features - centre) / spread)[annotations.item_codes],
        labels=annotations.label_codes,
        annotators=annotations.annotator_codes,
        shape=(max(len(annotations.annotators), 1), annotations.n_classes),
        folds=folds_by_item(annotations, n_folds, seed),
    )
    found = [_out_of_fold(data, ridge, None) for ridge in ridges]  # each [J, C]
    choice = choose_setting({"ridge": ridges}, np.array([_loss(data, p) for p in found]))
    ridge, effect_ridge = choice.setting["ridge"], None
    held_out = found[list(ridges).index(ridge)]
    if annotator_effects:
        found = [_out_of_fold(data, ridge, strength) for strength in effect_ridges]
        of_effects = choose_setting(
            {"effect_ridge": effect_ridges}, np.array([_loss(data, p) for p in found])
        )
        effect_ridge = of_effects.setting["effect_ridge"]
        held_out = found[list(effect_ridges).index(effect_ridge)]
        # The strong end of this grid is no effect at all, so nothing better can lie beyond it.
        on_edge = () if effect_ridge == effect_ridges[-1] else of_effects.on_edge
        choice = Choice(choice.setting | of_effects.setting, of_effects.loss, choice.on_edge + on_edge)
    model = fit_logistic(data.features, data.labels, data.annotators, data.shape, ridge, effect_ridge)
    return LinearProbe(model, centre, spread, fit_offsets(held_out, data.labels), choice, held_out)


def _out_of_fold(data: _Judgements, ridge: float, effect_ridge: float | None) -> np.ndarray:
    """Consensus predictions for every judgement's item by a probe that did not see the item, [J, C]."""
    predicted = np.empty((len(data.labels), data.shape[1]))
    for held_out in data.folds:
        model = fit_logistic(
            data.features[~held_out],
            data.labels[~held_out],
            data.annotators[~held_out],
            data.shape,
            ridge,
            effect_ridge,
        )
        predicted[held_out] = model.consensus(data.features[held_out])
    return predicted


def _loss(data: _Judgements, predicted: np.ndarray) -> float:
    """Mean cross-entropy against the noisy labels."""
    chosen = predicted[np.arange(len(data.labels)), data.labels]  # [J]
    return float(-np.log(np.maximum(chosen, SMALLEST)).mean())
