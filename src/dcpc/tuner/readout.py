"""The cross-layer readout: every layer's pooled state has a say in the logits.

    logits_i = head(x_i) + Σ_l W^l z^l_i + b,    z^l = (e^l − c^l) / s^l

A classification head reads the last layer alone, and what tells annotators apart (tone, politeness, offence)
is often clearer further down. The states e^l are those that the correction module reads (eq. 10), so the readout
costs one small matrix product. W and b start at zero: a fresh readout changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class CrossLayerReadout(nn.Module):
    """A linear map from the pooled states of L layers to C logits.

    Args:
        widths: hidden width of each of the L layers; D is their sum.
        num_labels: C.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, widths: Sequence[int], num_labels: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(sum(widths)))  # c [D]
        self.register_buffer("spread", torch.ones(sum(widths)))  # s [D]
        self.weight = nn.Parameter(torch.zeros(num_labels, sum(widths)))  # W [C,D]
        self.bias = nn.Parameter(torch.zeros(num_labels))  # b [C]

    def forward(self, states: Tensor) -> Tensor:
        """Logits [B,C] of the layers' pooled states side by side [B,D]."""
        standardised = (states - self.centre) / self.spread  # [B,D]
        return standardised @ self.weight.T + self.bias
