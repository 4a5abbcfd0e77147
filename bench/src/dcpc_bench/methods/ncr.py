"""Neighbour consistency regularisation (Iscen et al. 2022), the nearest published relative of L_amb."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from dcpc.training.rule import Batch
from dcpc.training.step import StepOutput
from dcpc_bench.method import Method, grid
from dcpc_bench.methods.parts.feature_penalty import FeaturePenalty


def neighbour_consistency(
    logits: Tensor, features: Tensor, n_neighbours: int = 10, temperature: float = 2.0
) -> Tensor:
    """Mean over the batch of T² KL(Σ_j s_ij p_j / Σ_j s_ij ‖ p_i) over the k nearest items j of the batch.

    p = softmax(logits / T); s_ij = max(0, cos(v_i, v_j)) of the features, s_ii = 0. The training loss is
    (1 − α) cross-entropy + α times this. Direction, the factor T² and gradients are those of the authors' code:
    gradients reach both sides of the divergence and the similarities too (in contrast to our L_amb, which holds
    them constant). Items without a similar neighbour add nothing.

    Args:
        logits: [B, C], B ≥ 2.
        features: of the layer before the classifier, [B, H].
        n_neighbours: k; at most B − 1 are used.
        temperature: T.
    """
    directions = normalize(features, dim=-1)  # [B, H]
    itself = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    similarity = relu(directions @ directions.T).masked_fill(itself, 0)  # [B, B]
    nearest = similarity.topk(min(n_neighbours, len(logits) - 1), dim=-1)  # [B, k]
    total = nearest.values.sum(dim=-1, keepdim=True)  # [B, 1]
    weights = nearest.values / total.clamp_min(1e-12)  # [B, k]
    log_p = (logits / temperature).log_softmax(dim=-1)  # [B, C]
    neighbours = torch.einsum("bk,bkc->bc", weights, log_p.exp()[nearest.indices])  # [B, C]
    divergence = (neighbours * (neighbours.clamp_min(1e-12).log() - log_p)).sum(dim=-1)  # [B]
    return temperature**2 * (divergence * (total[:, 0] > 0)).mean()


class NeighbourConsistency(FeaturePenalty):
    """(1 − α) cross-entropy + α `neighbour_consistency`, after a start with cross-entropy alone.

    Args:
        strength: α; the authors' configurations use 0.1 to 0.9.
        start: epochs before the penalty sets in; the authors wait a tenth of their 100 to 130 epochs.
    """

    def __init__(self, strength: float = 0.3, start: float = 0.5) -> None:
        self.strength, self.start = strength, start

    def loss(self, model: nn.Module, batch: Batch, epoch: float) -> StepOutput:
        """Loss of a batch."""
        logits, task, features = self.forward(model, batch)
        if epoch < self.start or len(logits) < 2:
            return StepOutput.of({"task": task}, logits)
        penalty = neighbour_consistency(logits, features)
        return StepOutput.of(
            {"task": (1 - self.strength) * task, "neighbours": self.strength * penalty}, logits
        )


METHOD = Method(
    "ncr",
    "Iscen et al. 2022",
    "predictions near those of neighbours in the batch",
    rule=lambda _, setting, seed: NeighbourConsistency(setting.get("strength", 0.3)),
    grid=grid(strength=(0.1, 0.3, 0.6)),
)
