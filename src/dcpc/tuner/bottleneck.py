"""The bottleneck carrier: a small network behind each feed-forward layer whose width follows the preference.

    h = y + B ((1 + M p_pref) ⊙ gelu(A y + a)) + b,    y = W x + …, the output of the feed-forward layer

Bottleneck adapters (Houlsby et al. 2019, arXiv:1902.00751) in the placement of Pfeiffer et al. (2021,
arXiv:2005.00247), in which the correction module gates each of the r hidden dimensions per input. B and b start at
zero, so that a fresh adapter changes nothing.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

from dcpc.tuner.config import DCPCConfig
from dcpc.tuner.sites import widths
from dcpc.tuner.update_layer import META_INIT_STD, UpdateLayer


class BottleneckLayer(UpdateLayer):
    """The last linear layer of a feed-forward block with A, a, B, b and M behind it, for every adapter.

    Args:
        base_layer: the linear layer.
        attention: see `UpdateLayer`.
    """

    dcpc_down: nn.ParameterDict
    dcpc_down_bias: nn.ParameterDict
    dcpc_up: nn.ParameterDict
    dcpc_up_bias: nn.ParameterDict
    adapter_layer_names = ("dcpc_down", "dcpc_down_bias", "dcpc_up", "dcpc_up_bias", "dcpc_meta")

    def __init__(self, base_layer: nn.Module, attention: str | None = None) -> None:
        super().__init__(base_layer, attention)
        _, self.width = widths(base_layer)

    def add_adapter(self, name: str, config: DCPCConfig) -> None:
        """Create the parameters of one adapter, on the device of the base layer."""
        assert config.bottleneck  # the tuner wraps no layer for an adapter without one
        self.dcpc_down[name] = self._parameter(1 / math.sqrt(3 * self.width), config.bottleneck, self.width)
        self.dcpc_down_bias[name] = self._parameter(0.0, config.bottleneck)
        self.dcpc_up[name] = self._parameter(0.0, self.width, config.bottleneck)
        self.dcpc_up_bias[name] = self._parameter(0.0, self.width)
        if config.correction:
            self.dcpc_meta[name] = self._parameter(META_INIT_STD, config.num_styles, config.bottleneck)
        self.dropout[name] = config.carrier_dropout
        self.adapters.add(name)

    def update(self, states: Tensor, output: Tensor, probabilities: Tensor | None) -> Tensor:
        """B ((1 + M p_pref) ⊙ gelu(A y + a)) + b, [B,n,H] in the type of the parameters (or of autocast).

        Args:
            states: not read.
            output: [B,n,H] y.
            probabilities: [B,K] p_pref, None without correction.
        """
        name = self.adapter
        assert name is not None  # callers ask layers that act
        down = self.dcpc_down[name]
        hidden = functional.gelu(functional.linear(output.to(down.dtype), down, self.dcpc_down_bias[name]))
        return functional.linear(
            self.gated(hidden, probabilities), self.dcpc_up[name], self.dcpc_up_bias[name]
        )
