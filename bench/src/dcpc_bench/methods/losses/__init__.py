"""Losses of the noisy-label baselines, over logits [B, C] and label distributions [B, C]."""

from dcpc_bench.methods.losses.coteaching import coteaching_losses, remember_rate
from dcpc_bench.methods.losses.elr import EarlyLearningRegularisation
from dcpc_bench.methods.losses.gce import generalised_cross_entropy
from dcpc_bench.methods.losses.ncr import neighbour_consistency
from dcpc_bench.methods.losses.similar_kl import similar_inputs_kl

__all__ = [
    "EarlyLearningRegularisation",
    "coteaching_losses",
    "generalised_cross_entropy",
    "neighbour_consistency",
    "remember_rate",
    "similar_inputs_kl",
]
