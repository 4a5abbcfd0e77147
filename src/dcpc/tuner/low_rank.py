"""The low-rank carrier: an update of the attention's linear layers whose rank dimensions follow the preference.

    h = W x + s · B ((1 + M p_pref) ⊙ (A x))

LoRA (Hu et al. 2022, arXiv:2106.09685), in which the correction module gates each of the r dimensions per input:
the meta-matrix M of eq. 12 acts on the rank dimensions in place of prefix positions. B starts at zero, so that a
fresh adapter changes nothing.
"""

from __future__ import annotations

import math
import re

from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from dcpc.tuner.adapter_layer import AdapterLayer
from dcpc.tuner.config import DCPCConfig

META_INIT_STD = 0.1
ATTENTION_BLOCK = re.compile(r"attention|attn", re.IGNORECASE)


class LowRankLayer(AdapterLayer):
    """A, B and M of one linear layer, for every adapter.

    Args:
        linear: the base layer.
    """

    dcpc_down: nn.ParameterDict
    dcpc_up: nn.ParameterDict
    dcpc_meta_rank: nn.ParameterDict
    adapter_layer_names = ("dcpc_down", "dcpc_up", "dcpc_meta_rank")

    def __init__(self, linear: nn.Linear | Conv1D) -> None:
        super().__init__(next(linear.parameters()))
        # Conv1D keeps its weight transposed: [in, out].
        self.width_in: int
        self.width_out: int
        self.width_in, self.width_out = (
            linear.weight.shape if isinstance(linear, Conv1D) else (linear.in_features, linear.out_features)
        )
        self.scale: dict[str, float] = {}
        self.dropout: dict[str, float] = {}

    def add_adapter(self, name: str, config: DCPCConfig) -> None:
        """Create the parameters of one adapter, on the device of the base layer."""
        self.dcpc_down[name] = self._parameter(1 / math.sqrt(3 * self.width_in), config.rank, self.width_in)
        self.dcpc_up[name] = self._parameter(0.0, self.width_out, config.rank)
        if config.correction:
            self.dcpc_meta_rank[name] = self._parameter(META_INIT_STD, config.num_styles, config.rank)
        self.scale[name], self.dropout[name] = config.rank_scale, config.rank_dropout
        self.adapters.add(name)

    def gate(self, probabilities: Tensor | None) -> Tensor | None:
        """Factors 1 + M p_pref of the rank dimensions [B,r]; None where nothing corrects them.

        Args:
            probabilities: [B,K] p_pref, None without correction.
        """
        meta = None if self.adapter is None else self.dcpc_meta_rank.get(self.adapter)
        if meta is None or probabilities is None:
            return None
        return 1 + probabilities.to(meta.dtype) @ meta

    def forward(self, states: Tensor, probabilities: Tensor | None) -> Tensor:
        """The update s · B ((1 + M p_pref) ⊙ (A x)).

        Args:
            states: [B,n,in] x.
            probabilities: [B,K] p_pref, None without correction.

        Returns:
            [B,n,out] in the type of the parameters (or of autocast).
        """
        name = self.adapter
        assert name is not None  # callers ask layers that act
        down, up = self.dcpc_down[name], self.dcpc_up[name]
        low = functional.linear(states.to(down.dtype), down)  # [B,n,r]
        # Of the r dimensions, not of the input as in LoRA: drawing the input's masks took a fifth of a step on a CPU.
        low = functional.dropout(low, self.dropout[name], self.training)
        gate = self.gate(probabilities)
        if gate is not None:
            low = low * gate.unsqueeze(1)
        return self.scale[name] * functional.linear(low, up)


def attention_linears(model: nn.Module, attention: str) -> list[str]:
    """Names of the linear layers of the attention block that holds the self-attention module `attention`.

    BERT and its kin keep the output projection beside the self-attention, in a block of that name around both.
    """
    parent = attention.rpartition(".")[0]
    block = parent if ATTENTION_BLOCK.search(parent.rpartition(".")[2]) else attention
    return [
        f"{block}.{name}"
        for name, module in model.get_submodule(block).named_modules()
        if isinstance(module, nn.Linear | Conv1D)
    ]
