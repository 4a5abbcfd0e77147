"""A linear probe on frozen embeddings, tuned as carefully as anything it is compared with.

With a narrow grid this baseline is easily beaten, and the victory means nothing. So: cross-validation by item
on the *noisy* training labels over seven orders of magnitude of the ridge and of the annotator effects, by
cross-entropy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from dcpc.data.annotations import Annotations, item_texts
from dcpc.data.embeddings import embed_texts
from dcpc.data.pairs import embedding_cache
from dcpc.errors import UsageError
from dcpc.probabilities import SMALLEST
from dcpc.regression.logistic import Judged, Logistic, fit_logistic
from dcpc.regression.ridges import Choice, choose_ridges
from dcpc_bench.fitted import Fitted
from dcpc_bench.method import Method, TrainingSettings
from dcpc_bench.statistics.splits import folds_by_item

Embed = Callable[[pd.DataFrame], np.ndarray]
"""Items to their embeddings, float [I, H]."""

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


class FittedProbe(Fitted):
    """A linear probe on embeddings of a frozen encoder.

    Args:
        probe: fitted.
        embed: items to their embeddings, float [I, H].
        validation: judgements to measure the loss on.
        annotators: ids in the probe's order; None where it has no effects of annotators.
    """

    def __init__(
        self, probe: LinearProbe, embed: Embed, validation: Annotations, annotators: pd.Index | None
    ) -> None:
        self.probe, self.embed, self.annotators = probe, embed, annotators
        self.parameters = probe.n_parameters
        self.setting, self.on_edge = probe.choice.setting, probe.choice.on_edge
        p = self.probabilities(validation.items)  # [V, C]
        self.validation_loss = float(-(validation.soft_labels * np.log(p)).sum(axis=1).mean())

    def probabilities(self, items: pd.DataFrame) -> np.ndarray:
        """Predicted label distribution of I items, float [I, C]."""
        return np.maximum(self.probe.probabilities(self.embed(items)), SMALLEST)

    def judged_probabilities(
        self, items: pd.DataFrame, item_codes: np.ndarray, annotators: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """`probabilities`, and what annotators would say, float [J, C]; None without effects of annotators."""
        p = self.probabilities(items)
        if self.annotators is None:
            return p, None
        known = self.annotators.get_indexer(pd.Index(annotators))
        return p, self.probe.of_annotators(self.embed(items)[item_codes], known)


def embedded(items: pd.DataFrame, encoder: str, max_length: int) -> np.ndarray:
    """Embeddings of items, float64 [I, H]; several texts of an item are joined by a line break, then cut."""
    texts = item_texts(items)
    found = embed_texts(texts, encoder, cache_dir=embedding_cache(), progress=False, max_length=max_length)
    return found.astype(np.float64)


def fit_probe(
    train: Annotations,
    validation: Annotations,
    settings: TrainingSettings,
    seed: int,
    *,
    annotator_effects: bool = False,
) -> FittedProbe:
    """A probe on embeddings of the shared base model."""
    embed = partial(embedded, encoder=settings.base_model, max_length=settings.max_length)
    probe = fit_linear_probe(embed(train.items), train, annotator_effects=annotator_effects, seed=seed)
    return FittedProbe(probe, embed, validation, train.annotators if annotator_effects else None)


METHOD = Method(
    "linear-probe",
    "Alain, Bengio 2016",
    "logistic regression on frozen embeddings, cross-validated",
    fit=fit_probe,
    grid={},
)
