"""A linear probe on frozen embeddings, tuned as carefully as anything it is compared with.

With a narrow grid this baseline is easily beaten, and the victory means nothing. So: cross-validation by item
on the *noisy* training labels over seven orders of magnitude of the ridge and of the annotator effects, by
cross-entropy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dcpc.data.annotations import Annotations
from dcpc.errors import UsageError
from dcpc.regression.logistic import Judged, Logistic, fit_logistic
from dcpc.regression.ridges import Choice, choose_ridges
from dcpc_bench.statistics.splits import folds_by_item

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
        choice: the chosen ridges, and whether one lies on the edge of its grid.
        held_out: consensus of every training item, predicted by a probe that did not see it, float [I, C].
    """

    model: Logistic
    centre: np.ndarray
    spread: np.ndarray
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

    @property
    def n_parameters(self) -> int:
        """Coefficients of the probe; those of the frozen encoder are not counted."""
        effects = self.model.effects.size if "effect_ridge" in self.choice.setting else 0
        return self.model.weights.size + self.model.bias.size + effects


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
        effect_ridges: grid of λ_u, from weak to strong.
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
    judged = Judged(
        features=(features - centre) / spread,
        items=annotations.item_codes,
        labels=annotations.label_codes,
        annotators=annotations.annotator_codes,
        n_annotators=max(len(annotations.annotators), 1),
        n_classes=annotations.n_classes,
    )
    folds = folds_by_item(annotations, n_folds, seed)
    chosen = choose_ridges(judged, folds, ridges, effect_ridges if annotator_effects else None)
    model = fit_logistic(judged, chosen.ridge, chosen.effect_ridge)
    return LinearProbe(model, centre, spread, chosen.choice, chosen.held_out)
