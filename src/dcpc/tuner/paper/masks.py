"""Attention masks widened by the prefix."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers.masking_utils import eager_mask, sdpa_mask


def sdpa_mask_without_skip(*args: Any, **kwargs: Any) -> Tensor | None:
    """The mask of `sdpa`, built even where it is plainly causal.

    With a prefix in front, torch's own causal flag would align the query with the wrong keys.
    """
    return sdpa_mask(*args, **{**kwargs, "allow_is_causal_skip": False})


MASK_FUNCTIONS = {
    "parallel": {"sdpa": sdpa_mask, "eager": eager_mask},
    "concat": {"sdpa": sdpa_mask_without_skip, "eager": eager_mask},
}


def widened_mask(mask: Tensor | None, length: int) -> Tensor | None:
    """Let every query see `length` prefix positions in front of the keys.

    Args:
        mask: [B|1,h|1,n,kv], boolean (True is seen) or additive (0 is seen); None sees everything.

    Returns:
        [B|1,h|1,n,length+kv] or None.
    """
    if mask is None:
        return None
    return functional.pad(mask, (length, 0), value=True if mask.dtype == torch.bool else 0.0)


def causal_mask(query_length: int, key_length: int, device: torch.device) -> Tensor:
    """Boolean causal mask [1,1,n,kv] aligned at the last key, for attention that came without a mask."""
    ones = torch.ones(query_length, key_length, dtype=torch.bool, device=device)
    return ones.tril(key_length - query_length)[None, None]
