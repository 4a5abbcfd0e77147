"""Bottleneck adapters (Houlsby et al. 2019) in the placement of Pfeiffer et al. (2021): after each feed-forward."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import gelu
from transformers import PreTrainedModel

from dcpc.models.layers import head_modules
from dcpc_bench.method import Method
from dcpc_bench.methods.parts.in_place import InPlace
from dcpc_bench.methods.parts.layers import feedforward_outputs

WIDTH = 16
"""Width of the bottleneck: at 384 hidden units 12,688 parameters per layer."""


class BottleneckAdapter(nn.Module):
    """h + W_up gelu(W_down h + b_down) + b_up on the output of a frozen layer; W_up starts at zero: a no-op.

    Args:
        layer: the layer whose output is adapted; called first.
        hidden: H, width of that output.
        width: of the bottleneck.
    """

    def __init__(self, layer: nn.Module, hidden: int, width: int) -> None:
        super().__init__()
        self.layer = layer
        self.down, self.up = nn.Linear(hidden, width), nn.Linear(width, hidden)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, states: Tensor) -> Tensor:
        """Adapted output, [B, n, H], of the layer's input states."""
        output = self.layer(states)  # [B, n, H]
        return output + self.up(gelu(self.down(output)))


def add_bottleneck_adapters(model: PreTrainedModel, width: int = WIDTH) -> int:
    """Put an adapter behind every feed-forward layer, in place, and freeze all but adapters and head.

    Returns:
        The number of trainable parameters.

    Raises:
        ModelError: the model has no feed-forward layers or no head.
    """
    # A language head knows its words already; a classifier's is new.
    heads = () if model.can_generate() else tuple(head_modules(model))
    paths = feedforward_outputs(model)
    model.requires_grad_(False)
    for path in paths:
        parent, _, name = path.rpartition(".")
        layer = model.get_submodule(path)
        adapter = BottleneckAdapter(layer, model.config.hidden_size, width)
        adapter.down.to(next(layer.parameters()).device)
        adapter.up.to(next(layer.parameters()).device)
        setattr(model.get_submodule(parent), name, adapter)
    for head in heads:
        model.get_submodule(head).requires_grad_(True)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


METHOD = Method(
    "bottleneck-adapter",
    "Houlsby et al. 2019, Pfeiffer et al. 2021",
    "plain cross-entropy on every judgement",
    carrier=InPlace("bottleneck-adapter", add_bottleneck_adapters),
)
