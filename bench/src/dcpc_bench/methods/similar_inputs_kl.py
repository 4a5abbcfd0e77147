"""The control: pull the predictions of similar inputs together, with no thought of who gave the labels.

What remains of the preference-sensitive similarity (eq. 3-6) without layer weights, conflict gate, correction
and annotators. If this did as well, those parts would not earn their place.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from dcpc.objective.pairs import batch_pairs
from dcpc.objective.similarity import layer_similarity, prediction_divergence, similarity_gate
from dcpc.training.rule import Batch
from dcpc.training.step import StepOutput
from dcpc_bench.method import Method, grid
from dcpc_bench.methods.parts.feature_penalty import FeaturePenalty


def similar_inputs_kl(logits: Tensor, features: Tensor, share: float = 0.1) -> Tensor:
    """Mean of ½ (KL(p_i ‖ p_j) + KL(p_j ‖ p_i)) over the pairs of the batch with the highest cos(v_i, v_j).

    A share, and not a fixed cosine: of 32 sentences drawn at random hardly two reach 0.8, and a penalty on no pairs
    would be no control. The default preset's L_amb looks at the same share of pairs.

    Args:
        logits: [B, C].
        features: of the frozen encoder or the last layer, [B, H]; a constant for the gradient.
        share: of the B (B − 1) / 2 pairs that count, in (0, 1]; at least one does. A batch of one has none: 0.
    """
    pairs = batch_pairs(len(logits), logits.device)
    if len(pairs) == 0:
        return logits.sum() * 0.0
    states = features.detach().float()[None]  # [1, B, H]
    cosine = layer_similarity(states[:, pairs.a], states[:, pairs.b])  # [1, P]
    similar = pairs.where(similarity_gate(cosine, threshold=-math.inf, quantile=1 - share)[0].bool())
    log_p = logits.log_softmax(dim=-1)  # [B, C]
    return prediction_divergence(log_p[similar.a], log_p[similar.b]).mean()


class SimilarInputs(FeaturePenalty):
    """Cross-entropy + λ `similar_inputs_kl`.

    Args:
        strength: λ.
    """

    def __init__(self, strength: float = 0.3) -> None:
        self.strength = strength

    def loss(self, model: nn.Module, batch: Batch, epoch: float) -> StepOutput:
        """Loss of a batch."""
        logits, task, features = self.forward(model, batch)
        return StepOutput.of(
            {"task": task, "similar": self.strength * similar_inputs_kl(logits, features)}, logits
        )


METHOD = Method(
    "similar-inputs-kl",
    "control",
    "the control: similar inputs are predicted alike",
    rule=lambda _, setting, seed: SimilarInputs(setting.get("strength", 0.3)),
    grid=grid(strength=(0.1, 0.3, 1.0)),
)
