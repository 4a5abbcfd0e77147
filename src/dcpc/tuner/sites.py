"""Which linear layers of a base model carriers act on: those of a self-attention, and the feed-forward after it."""

from __future__ import annotations

import re
from collections.abc import Collection

from torch import nn
from transformers.pytorch_utils import Conv1D

ATTENTION_BLOCK = re.compile(r"attention|attn", re.IGNORECASE)


def widths(linear: nn.Linear | Conv1D) -> tuple[int, int]:
    """Width of what enters and of what leaves a linear layer."""
    if isinstance(linear, Conv1D):  # keeps its weight transposed: [in, out]
        width_in, width_out = linear.weight.shape
        return width_in, width_out
    return linear.in_features, linear.out_features


def attention_linears(model: nn.Module, attention: str) -> list[str]:
    """Names of the linear layers of the attention block that holds the self-attention module `attention`.

    BERT and its kin keep the output projection beside the self-attention, in a block of that name around both.
    """
    parent = attention.rpartition(".")[0]
    block = parent if ATTENTION_BLOCK.search(parent.rpartition(".")[2]) else attention
    return _linears(model, block)


def feedforward_outputs(model: nn.Module, attention: str, width: int, others: Collection[str]) -> list[str]:
    """Names of the last linear layers of the feed-forward blocks that belong to a self-attention module.

    They are what narrows to the hidden width, outside of any attention, in the smallest module that holds the
    attention and such a layer but no other self-attention.

    Args:
        model: the base model.
        attention: name of the self-attention module.
        width: H, its hidden width.
        others: names of all self-attention modules.

    Returns:
        None or one name as a rule; more for a mixture of experts made of linear layers.
    """
    block = attention
    while block:
        block = block.rpartition(".")[0]
        inside = f"{block}." if block else ""
        if any(other != attention and other.startswith(inside) for other in others):
            return []
        found = [
            name
            for name in _linears(model, block)
            if not any(ATTENTION_BLOCK.search(part) for part in name.removeprefix(inside).split("."))
            and _narrows(model.get_submodule(name), width)
        ]
        if found:
            return found
    return []


def _narrows(linear: nn.Module, width: int) -> bool:
    assert isinstance(linear, nn.Linear | Conv1D)
    width_in, width_out = widths(linear)
    return width_out == width < width_in


def _linears(model: nn.Module, block: str) -> list[str]:
    inside = f"{block}." if block else ""
    return [
        f"{inside}{name}"
        for name, module in model.get_submodule(block).named_modules()
        if isinstance(module, nn.Linear | Conv1D)
    ]
