"""Carriers that wrap a linear layer and add to its output; the correction module may gate their dimensions.

    h = W x + update(x),    gate = 1 + M p_pref                                   (eq. 12)

The base layer keeps its place in the model, its attention and its kernels. With a correction module, the meta-matrix
M of eq. 12 acts on the few dimensions of an update in place of prefix positions.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from dcpc.tuner.adapter_layer import AdapterLayer
from dcpc.tuner.config import DCPCConfig
from dcpc.tuner.forward_pass import current_pass, the_pass

META_INIT_STD = 0.1


class UpdateLayer(AdapterLayer):
    """Base of `LowRankLayer` and `BottleneckLayer`: takes the place of a linear layer, which it holds.

    Args:
        base_layer: the linear layer.
        attention: name of the self-attention whose p_pref gates this layer; None where no adapter has a module.
    """

    dcpc_meta: nn.ParameterDict

    def __init__(self, base_layer: nn.Module, attention: str | None = None) -> None:
        super().__init__(base_layer)
        self.base_layer = base_layer
        self.attention = attention
        self.dropout: dict[str, float] = {}

    @abstractmethod
    def add_adapter(self, name: str, config: DCPCConfig) -> None:
        """Create the parameters of one adapter, on the device of the base layer."""

    def forward(self, states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The base layer's output [B,n,out] for `states` [B,n,in], with the acting adapter's update added."""
        output = self.base_layer(states, *args, **kwargs)
        running = current_pass()
        acts = self.adapter is not None and not (running is not None and running.bare)
        if self.merged:  # what is in the base weight already is taken back where no adapter acts
            return output if acts else output - self.merged_update(states).to(output.dtype)
        if self.adapter is None or not acts:
            return output
        probabilities = None
        if self.adapter in self.dcpc_meta and self.attention is not None:
            probabilities = the_pass().probabilities[self.attention]
        return output + self.update(states, output, probabilities).to(output.dtype)

    def merged_update(self, states: Tensor) -> Tensor:
        """What merged adapters add to the output for `states` [B,n,in]; only for layers that merge."""
        raise TypeError(f"{type(self).__name__} does not merge.")

    def gate(self, probabilities: Tensor | None) -> Tensor | None:
        """Factors 1 + M p_pref of the r dimensions [B,r]; None where nothing corrects them.

        Args:
            probabilities: [B,K] p_pref, None without correction.
        """
        meta = None if self.adapter is None else self.dcpc_meta.get(self.adapter)
        if meta is None or probabilities is None:
            return None
        return 1 + probabilities.to(meta.dtype) @ meta

    def gated(self, low: Tensor, probabilities: Tensor | None) -> Tensor:
        """The dimensions [B,n,r] of an update after dropout and gate."""
        assert self.adapter is not None  # callers ask layers that act
        # Of the r dimensions, not of the input as in LoRA: drawing the input's masks took a fifth of a step on a CPU.
        low = functional.dropout(low, self.dropout[self.adapter], self.training)
        gate = self.gate(probabilities)
        if gate is None:
            return low
        # Latent attention (DeepSeek) expands its keys as [B,1,n,in], with a place for heads.
        return low * gate.view(len(gate), *[1] * (low.dim() - 2), gate.shape[-1])

    @abstractmethod
    def update(self, states: Tensor, output: Tensor, probabilities: Tensor | None) -> Tensor:
        """What is added to the output of the linear layer, [B,n,out].

        Args:
            states: [B,n,in] what entered the linear layer.
            output: [B,n,out] what left it.
            probabilities: [B,K] p_pref, None without correction.
        """
