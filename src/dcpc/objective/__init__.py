"""The objective of equation 13: one function per equation, every term switchable."""

from dcpc.objective.alignment import alignment_loss, crossed_context, step_contraction
from dcpc.objective.config import PRESETS, ObjectiveConfig
from dcpc.objective.correction import preference_divergence
from dcpc.objective.neighbours import slider_targets
from dcpc.objective.pairs import Pairs, batch_pairs, conflict_weight, view_pairs
from dcpc.objective.similarity import (
    ambiguity,
    layer_similarity,
    layer_weights,
    prediction_divergence,
    similarity_gate,
)
from dcpc.objective.targets import RunningConsensus, corrected_targets
from dcpc.objective.terms import BatchState, pair_terms, pool_layers

__all__ = [
    "PRESETS",
    "BatchState",
    "ObjectiveConfig",
    "Pairs",
    "RunningConsensus",
    "alignment_loss",
    "ambiguity",
    "batch_pairs",
    "conflict_weight",
    "corrected_targets",
    "crossed_context",
    "layer_similarity",
    "layer_weights",
    "pair_terms",
    "pool_layers",
    "prediction_divergence",
    "preference_divergence",
    "similarity_gate",
    "slider_targets",
    "step_contraction",
    "view_pairs",
]
