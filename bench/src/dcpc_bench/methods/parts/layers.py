"""Which modules of a base model a baseline acts on besides those that the core finds, by name and shape."""

from __future__ import annotations

import re

from torch import nn
from transformers import PreTrainedModel

from dcpc.errors import ModelError
from dcpc.models.layers import ATTENTION, attention_linears, head_modules, linear_layers
from dcpc.tuner.sites import widths

KEY_OR_VALUE = re.compile(r"(^|\.)(key|value|k|v|key_proj|value_proj|k_proj|v_proj|k_lin|v_lin)$")
FUSED = re.compile(r"(^|\.)(query_key_value|c_attn|qkv|qkv_proj|Wqkv|in_proj)$")


def key_value_linears(model: nn.Module) -> list[str]:
    """Paths of the key and value projections; the fused projection where keys and values share one.

    Raises:
        ModelError: the model has no layer of these names.
    """
    attention = attention_linears(model)
    found = [n for n in attention if KEY_OR_VALUE.search(n)] or [n for n in attention if FUSED.search(n)]
    if not found:
        raise ModelError(
            f"no key and value projections were found in {type(model).__name__}",
            fix='Pass the paths of the layers yourself: target_modules=["…"].',
        )
    return found


def feedforward_outputs(model: PreTrainedModel) -> list[str]:
    """Paths of the feed-forward layers' second projections: wide to hidden width, outside attention and head.

    Raises:
        ModelError: the model has none.
    """
    hidden = model.config.hidden_size
    outside = tuple(f"{name}." for name in head_modules(model))
    found = []
    for name, module in linear_layers(model).items():
        width_in, width_out = widths(module)
        if width_out == hidden < width_in and not ATTENTION.search(name) and not name.startswith(outside):
            found.append(name)
    if not found:
        raise ModelError(f"no feed-forward layers were found in {type(model).__name__}")
    return found
