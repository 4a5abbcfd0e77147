"""The cross-layer readout: what every layer of the frozen base model knows has a say in the logits.

    logits_i = head(x_i) + Σ_l W^l z^l_i + b,    z^l = (e^l − c^l) / s^l,    l = 0 … L

A classification head reads the last layer alone, and what judgements hang on (tone, politeness, offence) is often
clearer further down. The e^l are pooled states of the base model *without* the prefixes: what W learned of them
stays true whatever the prefixes learn, and the two err differently. Prediction therefore takes a second pass
through the base model. W and b start at zero: a fresh readout changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn, ones, zeros


class CrossLayerReadout(nn.Module):
    """A linear map from L + 1 pooled states to C logits.

    Args:
        widths: hidden width of the embeddings and of each layer; D is their sum.
        num_labels: C.

    Attributes:
        enabled: whether it acts; while it does not, no second pass is made.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, widths: Sequence[int], num_labels: int) -> None:
        super().__init__()
        self.enabled = True
        self.register_buffer("centre", zeros(sum(widths)))  # c [D]
        self.register_buffer("spread", ones(sum(widths)))  # s [D]
        self.weight = nn.Parameter(zeros(num_labels, sum(widths)))  # W [C,D]
        self.bias = nn.Parameter(zeros(num_labels))  # b [C]

    def forward(self, states: Tensor) -> Tensor:
        """Logits [B,C] of the pooled states side by side [B,D]."""
        standardised = (states - self.centre) / self.spread  # [B,D]
        return standardised @ self.weight.T + self.bias
