"""DeBERTa-v2 and v3, whose attention does not go through transformers' attention interface.

The parallel form needs only the layer's queries and its output, so a forward hook serves.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor
from transformers.models.deberta_v2.modeling_deberta_v2 import DisentangledSelfAttention

from dcpc.tuner.forward_pass import current_pass
from dcpc.tuner.paper.attention import prefix_attention

__all__ = ["DisentangledSelfAttention", "add_prefix"]


def add_prefix(
    module: DisentangledSelfAttention,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    output: tuple[Tensor, Any],
) -> tuple[Tensor, Any]:
    """Forward hook: add the attention over the prefix to the output [B,n,H] of the layer.

    The scores are scaled like the layer's own, by 1/sqrt(d · number of its score terms).
    """
    running = current_pass()
    prefix = None if running is None else running.prefixes.pop(id(module), None)
    if prefix is None:
        return output
    keys, values = prefix  # [B|1,h,m,d]
    queries = kwargs.get("query_states")
    queries = (args[0] if args else kwargs["hidden_states"]) if queries is None else queries
    query = (
        module.query_proj(queries).unflatten(-1, (module.num_attention_heads, -1)).transpose(1, 2)
    )  # [B,h,n,d]
    terms = 1 + ("c2p" in module.pos_att_type) + ("p2c" in module.pos_att_type)
    added = prefix_attention(query, keys, values, 1 / math.sqrt(query.shape[-1] * terms))  # [B,n,h,d]
    return (output[0] + added.flatten(-2), *output[1:])
