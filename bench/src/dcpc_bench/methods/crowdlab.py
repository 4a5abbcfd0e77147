"""CROWDLAB (Goh, Tkachenko, Mueller 2022): consensus labels from votes and a classifier, by cleanlab."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dcpc.data.annotations import Annotations
from dcpc.errors import UsageError
from dcpc.evaluation.inputs import check_probabilities
from dcpc_bench.method import Method, Setting, TrainingSettings
from dcpc_bench.methods.linear_probe import embedded, fit_linear_probe


class Consensus(NamedTuple):
    """Consensus labels and how far to trust them.

    Attributes:
        classes: position of the consensus label per item, int [I].
        weights: CROWDLAB's quality of the consensus, float [I], from 0 to 1, to weigh the item's loss.
    """

    classes: np.ndarray
    weights: np.ndarray


def crowdlab(annotations: Annotations, probabilities: ArrayLike) -> Consensus:
    """Consensus per item from an ensemble of the classifier and the annotators, weighed by their reliability.

    Args:
        annotations: judgements with annotator ids; some items need two judgements or more.
        probabilities: *out-of-sample* predictions per item, as from cross-validation, float [I, C].

    Raises:
        UsageError: no annotator ids, one judgement per item throughout, or cleanlab is not installed.
    """
    try:
        from cleanlab.multiannotator import get_label_quality_multiannotator
    except ImportError as error:
        raise UsageError("CROWDLAB needs cleanlab", fix="pip install 'dcpc[crowd]'") from error
    if not annotations.has_annotators:
        raise UsageError("CROWDLAB needs annotator ids", fix="Name the column of the annotator ids.")
    if annotations.counts.sum(axis=1).max() < 2:
        raise UsageError(
            "CROWDLAB measures annotators where they overlap, and no item here has two judgements",
            fix="Train on the votes, or have some items judged twice.",
        )
    p = check_probabilities(probabilities)  # [I, C]
    votes = _wide(annotations)
    quality = get_label_quality_multiannotator(
        votes, p, return_detailed_quality=False, return_annotator_stats=False, verbose=False
    )["label_quality"]
    return Consensus(
        quality["consensus_label"].to_numpy(dtype=np.int64),
        quality["consensus_quality_score"].to_numpy(dtype=np.float64),
    )


def _wide(annotations: Annotations) -> np.ndarray:
    """One column per annotator, float [I, A], NaN where someone did not judge; a repeated judgement counts last."""
    table = np.full((annotations.n_items, len(annotations.annotators)), np.nan)
    named = annotations.annotator_codes >= 0
    of_item, of_annotator = annotations.item_codes[named], annotations.annotator_codes[named]
    table[of_item, of_annotator] = annotations.label_codes[named]
    return table[:, ~np.isnan(table).all(axis=0)]


def rule(settings: TrainingSettings, setting: Setting, seed: int) -> Any:
    """Consensus labels one-hot, weighed by their quality; the classifier is a cross-validated linear probe."""
    from dcpc_bench.methods.parts.item_targets import ItemTargets, Targets

    def targets(train: Annotations) -> Targets:
        features = embedded(train.items, settings.base_model, settings.max_length)
        found = crowdlab(train, fit_linear_probe(features, train, seed=seed).held_out)
        return Targets(np.eye(train.n_classes)[found.classes], found.weights)

    return ItemTargets(targets)


METHOD = Method(
    "crowdlab",
    "Goh et al. 2022",
    "consensus labels weighed by their quality",
    rule=rule,
    needs_annotators=True,
    needs_overlap=True,
)
