"""The cross-layer readout: what every layer of the frozen base model knows has a say in the logits.

    logits_i = β head(x_i) + α (Σ_l W^l z^l_i + b),    z^l = (e^l − c^l) / s^l,    l = 0 … L

A classification head reads the last layer alone, and what judgements hang on (tone, politeness, offence) is often
clearer further down. While the adapter trains, the e^l are pooled states of the base model *without* it: what W
learned of them stays true whatever the adapter learns, and the two err differently. They take a second pass through
the base model, so `DCPCTrainer` ends with a readout of the states that the adapter's own pass goes through, which
predicts as well. W and b start at zero, β and α at one: a fresh readout changes nothing.

The states of a large model are more than a readout needs: 17,856 numbers with 30 layers of width 576, 135,168 with a
usual 7B. Above `MOST_STATES` they are sketched (count sketch, Charikar, Chen and Farach-Colton 2002): every number is
added, with a random sign, to one of so many sums, which keeps inner products up to a small error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from dcpc.pooling import mean_of_tokens

MOST_STATES = 4_096
"""Numbers R that the regression is fitted to; wider states D are sketched."""


class Shares(NamedTuple):
    """β and α: how much the adapter's logits and the readout's count in their sum."""

    adapter: float
    readout: float


class CrossLayerReadout(nn.Module):
    """A linear map from L + 1 pooled states to C logits.

    Args:
        widths: hidden width of the embeddings and of each layer; D is their sum, R what is left of it.
        num_labels: C.

    Attributes:
        n_states: D.
        enabled: whether it acts; while it does not, no states are read.
        shares: β and α, the factors of the adapter's logits and of the readout's [2]. They are saved with the
            adapter, so that the head stays as it was trained, whether or not it is saved too.
    """

    centre: Tensor
    spread: Tensor
    shares: Tensor
    slots: Tensor | None
    signs: Tensor | None

    def __init__(self, widths: Sequence[int], num_labels: int) -> None:
        super().__init__()
        self.enabled, self.n_states = True, sum(widths)
        n_read = min(self.n_states, MOST_STATES)  # R
        self.register_buffer("centre", torch.zeros(n_read))  # c [R]
        self.register_buffer("spread", torch.ones(n_read))  # s [R]
        self.register_buffer("shares", torch.ones(2))  # β, α [2]
        self.weight = nn.Parameter(torch.zeros(num_labels, n_read))  # W [C,R]
        self.bias = nn.Parameter(torch.zeros(num_labels))  # b [C]
        slots = signs = None
        if n_read < self.n_states:
            draw = np.random.default_rng(0)  # saved besides: no version of numpy has to draw the same
            slots = torch.from_numpy(draw.integers(n_read, size=self.n_states, dtype=np.int32))
            signs = torch.from_numpy(draw.choice(np.array([-1, 1], dtype=np.int8), self.n_states))
        self.register_buffer("slots", slots)  # [D], or None
        self.register_buffer("signs", signs)  # [D], or None

    def sketch(self, states: Tensor) -> Tensor:
        """What is read of pooled states side by side: [B,R] of [B,D]; the states themselves where R is D."""
        if self.slots is None or self.signs is None:
            return states
        sums = states.new_zeros(states.shape[0], len(self.centre))
        return sums.index_add(1, self.slots, states * self.signs)

    def forward(self, states: Tensor) -> Tensor:
        """Logits [B,C] of what `sketch` gave [B,R]."""
        # In full precision also under autocast: the sum runs over thousands of numbers.
        with torch.autocast(states.device.type, enabled=False):
            precise = torch.promote_types(self.weight.dtype, torch.float32)
            standardised = (states.to(precise) - self.centre) / self.spread  # [B,R]
            return standardised @ self.weight.to(precise).T + self.bias

    def joined(self, logits: Tensor, states: Tensor) -> Tensor:
        """β · logits + α · readout, [B,C] in at least float32, of the adapter's `logits` [B,C]."""
        adapter, readout = self.shares.unbind()
        return adapter * logits.to(torch.promote_types(logits.dtype, torch.float32)) + readout * self(states)


def layer_means(output: Any, mask: Tensor | None) -> Tensor:
    """The pooled states of a pass: mean states of the embeddings and of every layer, side by side [B,D].

    Args:
        output: of a pass with hidden states; of the encoder's where there are two stacks. Without any, D is 0.
        mask: [B,n] tokens that count; None for all.
    """
    hidden = output.get("hidden_states")
    hidden = output.get("encoder_hidden_states") if hidden is None else hidden
    return torch.cat([mean_of_tokens(layer, mask) for layer in hidden or ()] or [torch.empty(0)], dim=-1)
