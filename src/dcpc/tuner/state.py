"""What one forward pass of the tuner knows and records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

IGNORED_LABEL = -100


@dataclass(frozen=True)
class PreferenceState:
    """Preferences of the latest forward pass, in its graph.

    Attributes:
        mean: [L,B,K] μ (eq. 10), without the annotator.
        std: [L,B,K] σ.
        probabilities: [L,B,K] p_pref (eq. 11).
        prefixes: L tensors [B,m,w] P_new (eq. 12), keys and values side by side (w = both widths together);
            [B,1,w] gates of the updates' dimensions, linear layers side by side, where there is no prefix.
        positions: which layers of the encoder the first of these are, counted from 0; those of a decoder follow.
    """

    mean: Tensor
    std: Tensor
    probabilities: Tensor
    prefixes: list[Tensor]
    positions: list[int]


@dataclass(frozen=True)
class LayerPreference:
    """μ, σ and p_pref of one layer, each [B,K]."""

    mean: Tensor
    std: Tensor
    probabilities: Tensor

    def for_batch(self, size: int) -> LayerPreference:
        """Repeated for `size` rows: beams of an item follow each other."""
        return LayerPreference(
            *(repeated(value, size) for value in (self.mean, self.std, self.probabilities))
        )


@dataclass
class ForwardState:
    """Inputs and records of one forward pass, or of one generation.

    Attributes:
        mask: [B,n] positions that the pooled state averages over, None for all.
        noise: [B,K] ε, shared by all layers; None for 0.
        effect: [B,K] u_a in every layer; None for 0.
        annotator_ids: [B] annotators whose effect the logits get.
        labels: labels of the logits that the tuner changes; the loss is computed after the change.
        keep: use the recorded preferences again (later steps of a generation).
        layers: preference by layer name, in the order in which layers ran.
        frozen: pooled states of the base model without the adapter, side by side [B,D], for the readout.
        latest: p_pref [B,K] by layer name as the updates of linear layers take it; fresh where a layer is recomputed.
        prefixes: what alignment compares by layer name: the corrected prefix [B,m,w], or gates [B,1,w].
        ran: whether any adapted layer ran.
    """

    mask: Tensor | None = None
    noise: Tensor | None = None
    effect: Tensor | None = None
    annotator_ids: Tensor | None = None
    labels: Tensor | None = None
    keep: bool = False
    layers: dict[str, LayerPreference] = field(default_factory=dict)
    frozen: Tensor | None = None
    latest: dict[str, Tensor | None] = field(default_factory=dict)
    prefixes: dict[str, Tensor] = field(default_factory=dict)
    ran: bool = False

    def __deepcopy__(self, memo: dict[int, Any]) -> ForwardState:
        # Tensors inside a graph cannot be copied, and a copied model has run nothing yet.
        return ForwardState()


def repeated(value: Tensor, size: int) -> Tensor:
    """Repeat the rows of [B,...] to `size` rows, copies of a row next to each other."""
    return value if len(value) == size else value.repeat_interleave(size // len(value), dim=0)


def pooling_mask(attention_mask: Any, labels: Tensor | None) -> Tensor | None:
    """Positions [B,n] that the pooled hidden state averages over.

    Args:
        attention_mask: [B,n] of the call; anything else (None, a prepared 4-D mask) means no padding.
        labels: [B,n] labels of a causal language model, or None. Positions with a label are what the model
            must predict, so only the prompt counts; the first real token, which is never predicted, always.
    """
    mask = attention_mask if isinstance(attention_mask, Tensor) and attention_mask.dim() == 2 else None
    if labels is None:
        return mask
    real = torch.ones_like(labels, dtype=torch.bool) if mask is None else mask.bool()
    first = real & (real.cumsum(dim=1) == 1)
    return (real & (labels == IGNORED_LABEL)) | first


def positions_of_tokens(attention_mask: Any, tokens: Tensor | None) -> Tensor | None:
    """Positions [B,n] that count real tokens only; None where there is no padding in front of a text.

    Args:
        attention_mask: [B,past+n] of the call.
        tokens: [B,n] ids or [B,n,H] embeddings of the call.
    """
    if not isinstance(attention_mask, Tensor) or attention_mask.dim() != 2 or tokens is None:
        return None
    if bool(attention_mask[:, 0].all()):
        return None
    return (attention_mask.long().cumsum(dim=1) - 1).clamp(min=0)[:, -tokens.shape[1] :]


def inferred_padding(input_ids: Any, pad: int | None, eos: int | list[int] | None) -> Tensor | None:
    """Attention mask [B,n] of a prompt that came without one, by the rule of `generate`.

    Padding is told by its id, unless that id also ends sequences.
    """
    ends = eos if isinstance(eos, list) else [eos]
    if not isinstance(input_ids, Tensor) or input_ids.dim() != 2 or pad is None or pad in ends:
        return None
    return input_ids.ne(pad).long() if bool((input_ids == pad).any()) else None
