"""The control: pull the predictions of similar inputs together, with no thought of who gave the labels.

What remains of the preference-sensitive similarity (eq. 3-6) without layer weights, conflict gate, correction
and annotators. If this did as well, those parts would not earn their place.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from dcpc.objective.similarity import prediction_divergence


def similar_inputs_kl(logits: Tensor, features: Tensor, share: float = 0.1) -> Tensor:
    """Mean of ½ (KL(p_i ‖ p_j) + KL(p_j ‖ p_i)) over the pairs of the batch with the highest cos(v_i, v_j).

    A share, and not a fixed cosine: of 32 sentences drawn at random hardly two reach 0.8, and a penalty on no pairs
    would be no control. The default preset's L_amb looks at the same share of pairs.

    Args:
        logits: [B, C].
        features: of the frozen encoder or the last layer, [B, H]; a constant for the gradient.
        share: of the B (B − 1) / 2 pairs that count, in (0, 1]; at least one does. A batch of one has none: 0.
    """
    directions = normalize(features.detach().float(), dim=-1)  # [B, H]
    first, second = torch.triu_indices(len(logits), len(logits), offset=1, device=logits.device)  # [P], [P]
    if len(first) == 0:
        return logits.sum() * 0.0
    cosine = (directions[first] * directions[second]).sum(dim=-1)  # [P]
    similar = cosine >= torch.quantile(cosine, 1 - share)  # [P]
    log_p = logits.log_softmax(dim=-1)  # [B, C]
    return prediction_divergence(log_p[first[similar]], log_p[second[similar]]).mean()
