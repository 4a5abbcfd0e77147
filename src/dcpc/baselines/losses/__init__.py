"""Losses of the noisy-label baselines, over logits [B, C] and label distributions [B, C]."""

from dcpc.baselines.losses.coteaching import coteaching_losses, remember_rate
from dcpc.baselines.losses.elr import EarlyLearningRegularisation
from dcpc.baselines.losses.gce import generalised_cross_entropy
from dcpc.baselines.losses.ncr import neighbour_consistency
from dcpc.baselines.losses.similar_kl import similar_inputs_kl

__all__ = [
    "EarlyLearningRegularisation",
    "coteaching_losses",
    "generalised_cross_entropy",
    "neighbour_consistency",
    "remember_rate",
    "similar_inputs_kl",
]
