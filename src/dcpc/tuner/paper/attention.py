"""Attention functions that attend to the prefix, registered with transformers under names of their own.

A model looks its attention function up by the name in its config. The tuner sets that name from `sdpa` to
`dcpc_parallel_sdpa` (or `dcpc_concat_...`, `..._eager`); the functions here call the model's own attention
function and bring in the prefix that the forward pass holds for the module. Attention modules without one
(cross-attention) run as before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from dcpc.errors import ModelError
from dcpc.tuner.forward_pass import current_pass
from dcpc.tuner.paper.masks import MASK_FUNCTIONS, causal_mask, widened_mask
from dcpc.tuner.paper.prefix_layer import CHILD

Recorder = Callable[[nn.Module, Tensor, Tensor, Tensor], None]
_recorder: ContextVar[Recorder | None] = ContextVar("dcpc_attention_recorder", default=None)


def implementation_name(merge: str, base: str) -> str:
    """Name under which the wrapped version of the attention implementation `base` is registered."""
    return f"dcpc_{merge}_{base}"


def unwrapped_name(name: str) -> str:
    """The base implementation behind `name`: `dcpc_concat_sdpa` -> `sdpa`; other names stay."""
    names = {
        implementation_name(merge, base): base for merge, masks in MASK_FUNCTIONS.items() for base in masks
    }
    return names.get(name, name)


@contextmanager
def recorded(recorder: Recorder) -> Iterator[None]:
    """Call `recorder(module, query, key, value)` on every wrapped attention that this thread runs, for probing."""
    token = _recorder.set(recorder)
    try:
        yield
    finally:
        _recorder.reset(token)


def register() -> None:
    """Register the wrapped attention and mask functions with transformers."""
    for merge, masks in MASK_FUNCTIONS.items():
        for base, mask in masks.items():
            name = implementation_name(merge, base)
            AttentionInterface.register(name, partial(_attend, merge=merge, base=base))
            AttentionMaskInterface.register(name, mask)


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    merge: str,
    base: str,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attention of `module`, with its prefix where it has one. query [B,h,n,d], key/value [B,h_kv,kv,d]."""
    if (recorder := _recorder.get()) is not None:
        recorder(module, query, key, value)
    function = sdpa_attention_forward if base == "sdpa" else _eager_function(module)
    attend = partial(function, module, query, **kwargs)
    running = current_pass()
    prefix = None if running is None else running.prefixes.pop(id(module), None)
    if prefix is None:
        return attend(key, value, attention_mask)
    keys, values = prefix  # [B|1,h_kv,m,d]
    if merge == "parallel":
        output, weights = attend(key, value, attention_mask)  # [B,n,h,d]
        return output + prefix_attention(query, keys, values, kwargs.get("scaling")), weights
    widened = partial(
        _concatenated, module, function, query, key, value, attention_mask, keys, values, kwargs
    )
    learned: Tensor | None = module._modules[CHILD].gate  # type: ignore[union-attr, assignment]
    if learned is None:
        return widened()
    output, weights = attend(key, value, attention_mask)
    gate = learned.to(output.dtype).view(1, 1, -1, 1)  # [1,1,h,1]
    return output + gate * (widened()[0] - output), weights


def prefix_attention(query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Tensor:
    """Attention over the prefix alone: softmax(q K_P^T · scaling) V_P.

    The "parallel" form of prefix tuning (He et al. 2022, arXiv:2110.04366), with a softmax of its own
    (LLaMA-Adapter, arXiv:2303.16199).

    Args:
        query: [B,h,n,d].
        key: [B|1,h_kv,m,d], where h is a multiple of h_kv.
        value: [B|1,h_kv,m,d_v].
        scaling: factor of the scores; None is 1/sqrt(d).

    Returns:
        [B,n,h,d_v] in the type of `query`.
    """
    groups = query.shape[1] // key.shape[1]
    grouped = query.unflatten(1, (key.shape[1], groups))  # [B,h_kv,g,n,d]
    scores = torch.einsum("bhgnd,bhmd->bhgnm", grouped, key.to(query.dtype).expand(len(query), -1, -1, -1))
    scores = scores * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    weights = scores.softmax(dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32)).to(query.dtype)
    mixed = torch.einsum("bhgnm,bhmd->bhgnd", weights, value.to(query.dtype).expand(len(query), -1, -1, -1))
    return mixed.flatten(1, 2).transpose(1, 2)  # [B,n,h,d_v]


def _concatenated(
    module: nn.Module,
    function: Callable[..., tuple[Tensor, Tensor | None]],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    prefix_key: Tensor,
    prefix_value: Tensor,
    kwargs: dict[str, Any],
) -> tuple[Tensor, Tensor | None]:
    """The attention function with m prefix positions in front of the keys and values."""
    m, causal = prefix_key.shape[2], kwargs.get("is_causal")
    causal = getattr(module, "is_causal", False) if causal is None else causal
    # Eager functions see everything where they get no mask; sdpa goes by its causal flag.
    if mask is None and causal and query.shape[2] > 1 and function is sdpa_attention_forward:
        mask = causal_mask(query.shape[2], key.shape[2], key.device)
    if kwargs.get("position_bias") is not None:
        # The prefix has no position: its bias is zero.
        kwargs = {**kwargs, "position_bias": nn.functional.pad(kwargs["position_bias"], (m, 0))}
    batch = len(key)
    key = torch.cat([prefix_key.to(key.dtype).expand(batch, -1, -1, -1), key], dim=2)
    value = torch.cat([prefix_value.to(value.dtype).expand(batch, -1, -1, -1), value], dim=2)
    return function(module, query, key, value, widened_mask(mask, m), **kwargs)


def _eager_function(module: nn.Module) -> Callable[..., tuple[Tensor, Tensor | None]]:
    """The eager attention function of the file that defines the attention module."""
    for kind in type(module).__mro__:
        function = getattr(sys.modules.get(kind.__module__), "eager_attention_forward", None)
        if function is not None:
            return function
    raise ModelError(
        f"{type(module).__name__} has no eager attention function that a prefix could be added to.",
        fix="Load the base model with attn_implementation='sdpa'.",
    )
