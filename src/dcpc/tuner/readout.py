"""The cross-layer readout: what every layer of the frozen base model knows has a say in the logits.

    logits_i = β head(x_i) + α (Σ_l W^l z^l_i + b),    z^l = (e^l − c^l) / s^l,    l = 0 … L

A classification head reads the last layer alone, and what judgements hang on (tone, politeness, offence) is often
clearer further down. The e^l are pooled states of the base model *without* the adapter: what W learned of them
stays true whatever the adapter learns, and the two err differently. Prediction therefore takes a second pass
through the base model. W and b start at zero, β and α at one: a fresh readout changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Shares(NamedTuple):
    """β and α: how much the adapter's logits and the readout's count in their sum."""

    adapter: float
    readout: float


class CrossLayerReadout(nn.Module):
    """A linear map from L + 1 pooled states to C logits.

    Args:
        widths: hidden width of the embeddings and of each layer; D is their sum.
        num_labels: C.

    Attributes:
        enabled: whether it acts; while it does not, no second pass is made.
        shares: β and α, the factors of the adapter's logits and of the readout's [2]. They are saved with the
            adapter, so that the head stays as it was trained, whether or not it is saved too.
    """

    centre: Tensor
    spread: Tensor
    shares: Tensor

    def __init__(self, widths: Sequence[int], num_labels: int) -> None:
        super().__init__()
        self.enabled = True
        self.register_buffer("centre", torch.zeros(sum(widths)))  # c [D]
        self.register_buffer("spread", torch.ones(sum(widths)))  # s [D]
        self.register_buffer("shares", torch.ones(2))  # β, α [2]
        self.weight = nn.Parameter(torch.zeros(num_labels, sum(widths)))  # W [C,D]
        self.bias = nn.Parameter(torch.zeros(num_labels))  # b [C]

    def forward(self, states: Tensor) -> Tensor:
        """Logits [B,C] of the pooled states side by side [B,D]."""
        # In full precision also under autocast: the sum runs over thousands of numbers.
        with torch.autocast(states.device.type, enabled=False):
            precise = torch.promote_types(self.weight.dtype, torch.float32)
            standardised = (states.to(precise) - self.centre) / self.spread  # [B,D]
            return standardised @ self.weight.to(precise).T + self.bias

    def joined(self, logits: Tensor, states: Tensor) -> Tensor:
        """β · logits + α · readout, [B,C] in at least float32, of the adapter's `logits` [B,C]."""
        adapter, readout = self.shares.unbind()
        return adapter * logits.to(torch.promote_types(logits.dtype, torch.float32)) + readout * self(states)
