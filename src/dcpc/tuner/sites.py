"""Which linear layers of a base model carriers wrap: those of a self-attention, and the feed-forward after it.

Found by name and shape, without a forward pass, so that carriers which leave attention alone need to know nothing of
how it computes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn
from transformers.pytorch_utils import Conv1D

ATTENTION_PART = re.compile(r"attention|attn", re.IGNORECASE)
CROSS_ATTENTION_PART = re.compile(r"cross|encdec|encoder_attn", re.IGNORECASE)


@dataclass(frozen=True)
class Site:
    """A linear layer that a carrier can wrap.

    Attributes:
        name: of the linear layer.
        block: name of the attention block that it belongs to, or comes after.
        feedforward: whether it ends a feed-forward block; else it is one of the attention's own.
    """

    name: str
    block: str
    feedforward: bool


def is_linear(module: nn.Module) -> bool:
    """Whether a module is a linear layer: torch's, its quantised kin, GPT-2's `Conv1D`."""
    if isinstance(module, nn.Linear | Conv1D):
        return True
    return (
        "Linear" in type(module).__name__
        and hasattr(module, "in_features")
        and hasattr(module, "out_features")
    )


def widths(linear: nn.Module) -> tuple[int, int]:
    """Width of what enters and of what leaves a linear layer."""
    if isinstance(linear, Conv1D):  # keeps its weight transposed: [in, out]
        width_in, width_out = linear.weight.shape
        return width_in, width_out
    return int(linear.in_features), int(linear.out_features)  # type: ignore[arg-type]


def find_sites(model: nn.Module) -> dict[str, Site]:
    """Every linear layer that a carrier can wrap, by name, in the model's order; cross-attention is left out."""
    linears = {name: module for name, module in model.named_modules() if is_linear(module)}
    blocks = {block for name in linears if (block := attention_block(name)) is not None}
    sites = {}
    for name, module in linears.items():
        if any(CROSS_ATTENTION_PART.search(part) for part in name.split(".")):
            continue
        block = attention_block(name)
        if block is not None:
            sites[name] = Site(name, block, feedforward=False)
        elif (block := _block_before(name, blocks)) is not None and _narrows(
            module, model.get_submodule(block)
        ):
            sites[name] = Site(name, block, feedforward=True)
    return sites


def attention_block(name: str) -> str | None:
    """The outermost attention that a module lies in, by name; None where it lies in none, or in a cross-attention."""
    parts = name.split(".")
    for number, part in enumerate(parts[:-1]):
        if CROSS_ATTENTION_PART.search(part):
            return None
        if ATTENTION_PART.search(part):
            return ".".join(parts[: number + 1])
    return None


def attention_of(block: str, attentions: Iterable[str]) -> str | None:
    """The one of the self-attention modules `attentions` that is, or lies in, the attention block; None for none."""
    return next((name for name in attentions if name == block or name.startswith(f"{block}.")), None)


def _block_before(name: str, blocks: set[str]) -> str | None:
    """The only attention block in the smallest module around a layer that holds one; None for none, or several.

    None also where that block belongs to a later layer: layers of a hybrid that have no attention of their own are
    left alone, as their p_pref would not be there yet.
    """
    around = name
    while around:
        around = around.rpartition(".")[0]
        inside = f"{around}." if around else ""
        found = {block for block in blocks if block.startswith(inside)}
        if found:
            block = found.pop()
            return None if found or _is_later(block, name) else block
    return None


def _is_later(block: str, name: str) -> bool:
    """Whether the two lie in different members of one list of layers, the block in the later one."""
    parts = zip(block.split("."), name.split("."), strict=False)
    first, second = next((pair for pair in parts if pair[0] != pair[1]), ("", ""))
    return first.isdigit() and second.isdigit() and int(first) > int(second)


def _narrows(linear: nn.Module, attention: nn.Module) -> bool:
    """Whether a layer comes back from a larger width to that of the hidden states, which the attention reads."""
    width_in, width_out = widths(linear)
    read = {widths(module)[0] for module in attention.modules() if is_linear(module)}
    return width_out < width_in and width_out in read
