"""From the states of a text's tokens to one state of the text."""

from __future__ import annotations

import torch
from torch import Tensor


def mean_of_tokens(states: Tensor, mask: Tensor | None) -> Tensor:
    """Mean state over the positions that count.

    Args:
        states: [B, n, H] states of a layer.
        mask: [B, n], nonzero where a position counts; None counts all. A row without one gets zeros.

    Returns:
        [B, H] in at least float32.
    """
    states = states.to(torch.promote_types(states.dtype, torch.float32))  # [B, n, H]
    if mask is None:
        return states.mean(dim=1)
    weights = mask.to(states.dtype).unsqueeze(-1)  # [B, n, 1]
    # where(), not a product: padding may hold inf or nan.
    total = torch.where(weights > 0, states, states.new_zeros(())).sum(dim=1)  # [B, H]
    return total / weights.sum(dim=1).clamp(min=1)
