"""Which modules of a base model an adapter acts on, found by name so that any architecture works.

A linear layer belongs to attention if one of the modules around it is named `attention`, `attn` or alike; the
head is whatever hangs on the model beside the backbone that holds the attention layers. Names are enough here, as for
PEFT's own methods; DCPC has to know how each attention computes, so that its tuner watches a forward pass instead.
"""

from __future__ import annotations

import re

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from dcpc.errors import ModelError

ATTENTION = re.compile(
    r"(^|\.)(self_?attn|self_?attention|attention|attn|selfattention)(\.|$)", re.IGNORECASE
)


def linear_layers(model: nn.Module) -> dict[str, nn.Linear | Conv1D]:
    """All linear layers by their path, GPT-2's `Conv1D` among them."""
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D)}


def attention_linears(model: nn.Module) -> list[str]:
    """Paths of all linear layers of the attention modules: query, key, value and output projections.

    Raises:
        ModelError: the model has none.
    """
    found = [name for name in linear_layers(model) if ATTENTION.search(name)]
    if not found:
        raise ModelError(
            f"no attention layers were found in {type(model).__name__}",
            fix='Pass the paths of the layers yourself: target_modules=["…"].',
        )
    return found


def head_modules(model: PreTrainedModel) -> list[str]:
    """Names of the direct children with parameters that hold no attention layer: the classification head.

    Raises:
        ModelError: the model has no such child, so that nothing would learn the labels.
    """
    backbones = {name.split(".")[0] for name in attention_linears(model)}
    heads = [
        name
        for name, child in model.named_children()
        if name not in backbones and any(True for _ in child.parameters())
    ]
    if not heads:
        raise ModelError(
            f"{type(model).__name__} has no classification head",
            fix="Load it with AutoModelForSequenceClassification.",
        )
    return heads
