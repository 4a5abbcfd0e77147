"""The control: pull the predictions of similar inputs together, with no thought of who gave the labels.

What remains of the preference-sensitive similarity (eq. 3-6) without layer weights, conflict gate, correction
and annotators. If this did as well, those parts would not earn their place.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import normalize

from dcpc.objective.similarity import prediction_divergence


def similar_inputs_kl(logits: Tensor, features: Tensor, threshold: float = 0.8) -> Tensor:
    """Mean of ½ (KL(p_i ‖ p_j) + KL(p_j ‖ p_i)) over pairs of the batch with cos(v_i, v_j) ≥ τ; 0 without pairs.

    Args:
        logits: [B, C].
        features: of the frozen encoder or the last layer, [B, H]; a constant for the gradient.
        threshold: τ of the cosine similarity.
    """
    directions = normalize(features.detach(), dim=-1)  # [B, H]
    similar = (directions @ directions.T >= threshold).triu(diagonal=1)  # [B, B]
    first, second = similar.nonzero(as_tuple=True)  # [pairs], [pairs]
    log_p = logits.log_softmax(dim=-1)  # [B, C]
    return prediction_divergence(log_p[first], log_p[second]).sum() / max(len(first), 1)
