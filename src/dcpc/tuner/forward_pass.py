"""What one forward pass knows. It lives as long as the call, in a context variable, and never on a module.

Two threads (or tasks) that share an adapter each have their own; a nested call of another model puts its own in front
and takes it away again. What a caller wants to know of a pass it asks for with `record=PassRecord()`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from dcpc.errors import UsageError

IGNORED_LABEL = -100
CARRIED = "_dcpc_styles"
"""Attribute of a key/value cache, or of an encoder's last states, with the styles of the pass that made it."""


@dataclass(frozen=True)
class LayerStyles:
    """μ, σ and p_pref of one layer, each [B,K]."""

    mean: Tensor
    std: Tensor
    probabilities: Tensor

    def for_batch(self, size: int) -> LayerStyles:
        """Repeated for `size` rows: beams of an item follow each other."""
        return LayerStyles(*(repeated(value, size) for value in (self.mean, self.std, self.probabilities)))


@dataclass(frozen=True)
class Styles:
    """What the correction module made of the inputs of a pass, in its graph.

    Attributes:
        mean: [L,B,K] μ (eq. 10), without the annotator.
        std: [L,B,K] σ.
        probabilities: [L,B,K] p_pref (eq. 11).
        corrected: L tensors [B,m,w] P_new (eq. 12), keys and values side by side (w = both widths together);
            [B,1,w] gates of the updates' dimensions, linear layers side by side, where there is no prefix.
        positions: which layers of the encoder the first of these are, counted from 0; those of a decoder follow.
    """

    mean: Tensor
    std: Tensor
    probabilities: Tensor
    corrected: list[Tensor]
    positions: list[int]

    def every(self, n: int) -> Styles:
        """Those of every n-th row, where n rows in a row had the same input."""
        if n == 1:
            return self
        mean, std, probabilities = (each[:, ::n] for each in (self.mean, self.std, self.probabilities))
        corrected = [each if len(each) == 1 else each[::n] for each in self.corrected]
        return Styles(mean, std, probabilities, corrected, self.positions)


@dataclass(eq=False)
class PassRecord:
    """Given to `model(..., record=PassRecord())`, which fills it.

    Attributes:
        styles: of the acting adapter's correction module; None where it has none.
    """

    styles: Styles | None = None


@dataclass(eq=False)
class ForwardPass:
    """Inputs and records of one forward pass, or of one generation.

    Attributes:
        tuner: the tuner that began it.
        mask: [B,n] positions that the pooled state averages over, None for all.
        noise: [B,K] ε, shared by all layers; None for 0.
        effect: [B,K] u_a in every layer; None for 0.
        annotator_ids: [B] annotators whose effect the logits get.
        labels: labels of the logits that the tuner changes; the loss is computed after the change.
        record: what the caller wants to know.
        read: pooled states that the readout reads, side by side [B,D]; None without one, and until a pass of the
            adapter's own has gone through them.
        reads_own: whether the readout reads the states of this very pass.
        shows_states: whether the caller asked for hidden states too.
        bare: the adapter does not act: the pass is one of the base model alone.
        generating: later calls of the model go on with the styles that this pass has.
        recomputing: a checkpointed layer runs again, in the backward pass.
        styles: by layer name, in the order in which layers ran.
        probabilities: p_pref [B,K] by layer name as wrapped linear layers take it; fresh where a layer is recomputed.
        corrected: what alignment compares by layer name: the corrected prefix [B,m,w], or gates [B,1,w].
        prefixes: keys and values that the attention function has not read yet, by id of the attention module.
        ran: whether any adapted attention ran.
    """

    tuner: Any
    mask: Tensor | None = None
    noise: Tensor | None = None
    effect: Tensor | None = None
    annotator_ids: Tensor | None = None
    labels: Tensor | None = None
    record: PassRecord | None = None
    read: Tensor | None = None
    reads_own: bool = False
    shows_states: bool = False
    bare: bool = False
    generating: bool = False
    recomputing: bool = False
    styles: dict[str, LayerStyles] = field(default_factory=dict)
    probabilities: dict[str, Tensor | None] = field(default_factory=dict)
    corrected: dict[str, Tensor] = field(default_factory=dict)
    prefixes: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    ran: bool = False
    token: Token[ForwardPass | None] | None = None


_current: ContextVar[ForwardPass | None] = ContextVar("dcpc_forward_pass", default=None)


def current_pass() -> ForwardPass | None:
    """The pass that this thread or task is in, None outside of one."""
    return _current.get()


def the_pass() -> ForwardPass:
    """The pass that this thread or task is in.

    Raises:
        UsageError: there is none: a part of the model was called by itself.
    """
    found = _current.get()
    if found is None:
        raise UsageError(
            "A part of the base model was called alone, so its adapter does not know the whole input.",
            fix="Call the model as a whole, or inside `with model.disable_adapter():`.",
        )
    return found


def begin(forward_pass: ForwardPass) -> None:
    """Enter a pass; `end` leaves it."""
    forward_pass.token = _current.set(forward_pass)


def end(forward_pass: ForwardPass) -> None:
    """Leave a pass and go back to the one around it."""
    if forward_pass.token is not None:
        _current.reset(forward_pass.token)
        forward_pass.token = None


@contextmanager
def inside(forward_pass: ForwardPass) -> Iterator[ForwardPass]:
    """Be in a pass, for as long as the block runs."""
    token = _current.set(forward_pass)
    try:
        yield forward_pass
    finally:
        _current.reset(token)


@contextmanager
def recomputing(forward_pass: ForwardPass | None) -> Iterator[None]:
    """Be in a pass again, to run one of its layers a second time: what it recorded stays."""
    again = None if forward_pass is None else replace(forward_pass, recomputing=True, prefixes={}, token=None)
    token = _current.set(again)
    try:
        yield
    finally:
        _current.reset(token)


def carried_styles(cache: Any, encoder_outputs: Any) -> dict[str, LayerStyles] | None:
    """The styles of the pass that a filled cache, or an encoder's outputs, came from; None where there is none."""
    for carrier in (cache, None if encoder_outputs is None else encoder_outputs[0]):
        if carrier is not None and hasattr(carrier, CARRIED):
            return getattr(carrier, CARRIED)
    return None


def carry_styles(output: Any, styles: dict[str, LayerStyles]) -> None:
    """Let the cache and the encoder's states of an output carry the styles to the call that goes on from them."""
    for name in ("past_key_values", "encoder_last_hidden_state"):
        carrier = getattr(output, name, None)
        if carrier is not None and not isinstance(carrier, tuple):
            setattr(carrier, CARRIED, styles)


def copied_states(states: Tensor, n: int) -> Tensor:
    """An encoder's last states [B,m,H] with n copies of every row, next to each other, and the styles they carry."""
    copies = states.repeat_interleave(n, dim=0)
    if hasattr(states, CARRIED):
        setattr(copies, CARRIED, getattr(states, CARRIED))
    return copies


def repeated(value: Tensor, size: int) -> Tensor:
    """Repeat the rows of [B,...] to `size` rows, copies of a row next to each other.

    Raises:
        UsageError: the sizes do not divide.
    """
    if len(value) == size:
        return value
    if size % len(value):
        raise UsageError(
            f"{size} rows go on from a pass over {len(value)}.",
            fix="Continue with the same rows, or with the same number of copies of each.",
        )
    return value.repeat_interleave(size // len(value), dim=0)


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
