"""The low-rank carrier: an update of the attention's linear layers whose rank dimensions follow the preference.

    h = W x + s · B ((1 + M p_pref) ⊙ (A x))

LoRA (Hu et al. 2022, arXiv:2106.09685), in which the correction module gates each of the r dimensions per input.
B starts at zero, so that a fresh adapter changes nothing.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from dcpc.tuner.config import DCPCConfig
from dcpc.tuner.gated_layer import META_INIT_STD, GatedLayer
from dcpc.tuner.sites import widths


class LowRankLayer(GatedLayer):
    """A, B and M of one linear layer, for every adapter.

    Args:
        linear: the base layer.
    """

    dcpc_down: nn.ParameterDict
    dcpc_up: nn.ParameterDict
    adapter_layer_names = ("dcpc_down", "dcpc_up", "dcpc_meta")

    def __init__(self, linear: nn.Linear | Conv1D) -> None:
        super().__init__(next(linear.parameters()))
        self.width_in, self.width_out = widths(linear)
        self.scale: dict[str, float] = {}

    def add_adapter(self, name: str, config: DCPCConfig) -> None:
        """Create the parameters of one adapter, on the device of the base layer."""
        self.dcpc_down[name] = self._parameter(1 / math.sqrt(3 * self.width_in), config.rank, self.width_in)
        self.dcpc_up[name] = self._parameter(0.0, self.width_out, config.rank)
        if config.correction:
            self.dcpc_meta[name] = self._parameter(META_INIT_STD, config.num_styles, config.rank)
        self.scale[name], self.dropout[name] = config.rank_scale, config.carrier_dropout
        self.adapters.add(name)

    def update(self, states: Tensor, output: Tensor, probabilities: Tensor | None) -> Tensor:
        """s · B ((1 + M p_pref) ⊙ (A x)), [B,n,out] in the type of the parameters (or of autocast).

        Args:
            states: [B,n,in] x.
            output: not read.
            probabilities: [B,K] p_pref, None without correction.
        """
        name = self.adapter
        assert name is not None  # callers ask layers that act
        down, up = self.dcpc_down[name], self.dcpc_up[name]
        low = self.gated(functional.linear(states.to(down.dtype), down), probabilities)  # [B,n,r]
        return self.scale[name] * functional.linear(low, up)
