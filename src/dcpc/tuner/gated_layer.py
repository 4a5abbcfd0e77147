"""What the carriers behind linear layers share: dimensions that the correction module gates per input.

    gate = 1 + M p_pref                                                          (eq. 12)

The meta-matrix M of eq. 12 acts on the few dimensions of an update in place of prefix positions.
"""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn
from torch.nn import functional

from dcpc.tuner.adapter_layer import AdapterLayer

META_INIT_STD = 0.1


class GatedLayer(AdapterLayer):
    """Base of `LowRankLayer` and `BottleneckLayer`.

    Args:
        anchor: a parameter of the base layer, which tells the device.
    """

    dcpc_meta: nn.ParameterDict

    def __init__(self, anchor: nn.Parameter) -> None:
        super().__init__(anchor)
        self.dropout: dict[str, float] = {}

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
        return low if gate is None else low * gate.unsqueeze(1)

    @abstractmethod
    def update(self, states: Tensor, output: Tensor, probabilities: Tensor | None) -> Tensor:
        """What is added to the output of the linear layer, [B,n,out].

        Args:
            states: [B,n,in] what entered the linear layer.
            output: [B,n,out] what left it.
            probabilities: [B,K] p_pref, None without correction.
        """
