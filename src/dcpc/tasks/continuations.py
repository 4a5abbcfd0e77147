"""How likely a language model finds several continuations of a prompt, which it reads once.

A causal model reads the prompt and, behind it, all continuations side by side: each sees the prompt and itself, and
has the positions that it would have alone (a tree of one branching). It is one forward pass without a cache, so
gradient checkpointing, prefixes and the pooled states work as ever, and continuations of one token cost nothing but
the last position. An encoder-decoder reads the prompt with its encoder once, and its decoder reads the continuations.
Where neither is possible (recurrent layers, windows shorter than the input, PEFT's prompt learning), every
continuation goes through the model with a prompt of its own: slower, and the same numbers.

    score(y | x) = Σ_t log p(y_t | x, y_<t)        divided by the number of tokens where lengths are normalised

Shapes: B items, n prompt tokens, R continuations of at most k tokens, V vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from dcpc.objective import pool_layers
from dcpc.tuner import Styles
from dcpc.tuner.acting import recorded_pass, unwrapped
from dcpc.tuner.forward_pass import copied_states

NONE = -1
"""Stands where a continuation has no token."""
NEVER = -1e4
"""Score of a candidate that an item does not have: its probability is 0 exactly, and 0 · score stays a number."""
FULL_ATTENTION = ("full_attention", "sliding_attention", "chunked_attention")


@dataclass(frozen=True)
class Continued:
    """What a pass over prompts and continuations gives.

    Attributes:
        scores: [B, R] log-likelihoods of the continuations; `NEVER` where there is none.
        styles: of the adapter's correction module, computed over the prompt alone; None without one.
        states: [L + 1, B, H] states pooled over the prompt; None where not asked for.
    """

    scores: Tensor
    styles: Styles | None
    states: Tensor | None


def score_continuations(
    model: nn.Module,
    tokens: dict[str, Tensor],
    *,
    states: bool = False,
    normalise: bool = False,
    **preference: Any,
) -> Continued:
    """Log-likelihoods of every item's continuations.

    Args:
        model: a causal or encoder-decoder language model, with any adapter.
        tokens: `input_ids` and `attention_mask` [B, n] of prompts padded on either side, and `continuations`
            [B, R, k], padded with −1.
        states: whether pooled states are wanted.
        normalise: divide by the number of tokens.
        **preference: `annotator_ids` [B], `noise` [B, K].

    Returns:
        Scores [B, R] in float32, and the pass's styles and states.
    """
    call = _Call(model, states, preference)
    prompts, mask, continuations = tokens["input_ids"], tokens["attention_mask"], tokens["continuations"]
    if call.encoder_decoder:
        log_p = _through_decoder(call, prompts, mask, continuations)
    elif continuations.shape[2] == 1 and call.takes_positions:
        log_p = _last_position(call, *left_padded(prompts, mask), continuations)
    elif continuations.shape[2] == 1:
        log_p = _own_last_position(call, *right_padded(prompts, mask), continuations)
    elif call.branches(prompts.shape[1] + continuations.shape[2]):
        log_p = _tree(call, *left_padded(prompts, mask), continuations)
    else:
        log_p = _one_by_one(call, *right_padded(prompts, mask), continuations)
    return Continued(summed(log_p, continuations, normalise), call.styles, call.states)


def summed(log_p: Tensor, continuations: Tensor, normalise: bool) -> Tensor:
    """Scores [B, R] from log-probabilities of the continuations' tokens [B, R, k]."""
    real = continuations != NONE  # [B, R, k]
    n_tokens = real.sum(dim=-1)  # [B, R]
    total = torch.where(real, log_p, log_p.new_zeros(())).sum(dim=-1)  # [B, R]
    score = total / n_tokens.clamp(min=1) if normalise else total
    return torch.where(n_tokens > 0, score, score.new_tensor(NEVER))


class _Call:
    """A model to be called for one batch, and what its calls left: styles and pooled states of the prompts."""

    def __init__(self, model: nn.Module, states: bool, preference: dict[str, Any]) -> None:
        self.model, self.wants_states, self.preference = model, states, preference
        base = unwrapped(model)
        self.prompt_learning = bool(
            getattr(getattr(base, "active_peft_config", None), "is_prompt_learning", False)
        )
        plain: Any = base.get_base_model() if hasattr(base, "get_base_model") else base  # type: ignore[operator]
        self.config: Any = plain.config
        self.encoder_decoder = bool(getattr(self.config, "is_encoder_decoder", False))
        parameters = inspect.signature(plain.forward).parameters
        # PEFT's prompt learning drops positions, and then padding on the left would count.
        self.takes_positions = "position_ids" in parameters and not self.prompt_learning
        self.keeps = "logits_to_keep" in parameters
        self.styles: Styles | None = None
        self.states: Tensor | None = None

    def branches(self, length: int) -> bool:
        """Whether continuations may stand side by side in an input of this length."""
        text = self.config.get_text_config()
        kinds = getattr(text, "layer_types", None) or ()
        window = getattr(text, "sliding_window", None) if getattr(text, "use_sliding_window", True) else None
        return (
            self.takes_positions
            and all(kind in FULL_ATTENTION for kind in kinds)
            and getattr(text, "_attn_implementation", "") not in UNMASKED
            and not getattr(text, "alibi", False)
            and (window is None or length <= window)
            and getattr(text, "model_type", "") not in RECURRENT
        )

    def __call__(self, prompt: Tensor | None, keep: int | None = None, every: int = 1, **inputs: Any) -> Any:
        """One pass.

        Args:
            prompt: [B', n] positions of the prompt, over which styles and states are pooled; None where the pass goes
                on from another one.
            keep: how many of the last positions need logits.
            every: how many rows there are of each item.
            **inputs: of the base model.
        """
        if keep is not None and self.keeps:
            inputs["logits_to_keep"] = keep
        if prompt is None:
            return self.model(**inputs)
        preference = {name: _repeated(value, every) for name, value in self.preference.items()}
        output, styles = recorded_pass(
            self.model, inputs, prompt=prompt, output_hidden_states=self.wants_states or None, **preference
        )
        self.styles = None if styles is None else styles.every(every)
        if self.wants_states:
            hidden = output.get("hidden_states")
            hidden = output.get("encoder_hidden_states") if hidden is None else hidden
            self.states = pool_layers([layer[::every] for layer in hidden], prompt[::every]).float()
        return output

    def last(self, logits: Tensor, keep: int) -> Tensor:
        """The logits of the last `keep` positions in float32, also where the model gave all."""
        return logits[:, -keep:].float()


def takes_branches(model: nn.Module, length: int) -> bool:
    """Whether a model can read branches side by side in an input of this length, by a mask that `tree_mask` makes."""
    return not (call := _Call(model, False, {})).encoder_decoder and call.branches(length)


UNMASKED = ("flash_attention_2", "flash_attention_3", "flash_attention_4", "flex_attention")
"""Attention implementations that take no mask of their own."""
RECURRENT = (
    "mamba",
    "mamba2",
    "rwkv",
    "recurrent_gemma",
    "xlstm",
    "falcon_mamba",
    "jamba",
    "bamba",
    "zamba",
    "zamba2",
)
"""Models whose layers carry a state from token to token, which continuations would hand on to each other."""


def _last_position(call: _Call, prompts: Tensor, mask: Tensor, continuations: Tensor) -> Tensor:
    """Log-probabilities [B, R, 1] of continuations of one token, from the prompts' last position."""
    output = call(
        mask, keep=1, input_ids=prompts, attention_mask=mask, position_ids=positions(mask), use_cache=False
    )
    last = call.last(output.logits, 1)[:, 0]  # [B, V]
    return _taken(last, continuations[:, :, 0]).unsqueeze(-1)


def _own_last_position(call: _Call, prompts: Tensor, mask: Tensor, continuations: Tensor) -> Tensor:
    """The same where the model takes no positions: prompts are padded on the right, and each ends where it ends."""
    n, lengths = prompts.shape[1], mask.sum(dim=1)  # [B]
    keep = int(n + 1 - lengths.min())
    output = call(mask, keep=keep, input_ids=prompts, attention_mask=mask, use_cache=False)
    logits = call.last(output.logits, keep)  # [B, keep, V]
    at = lengths - 1 - (n - keep)  # [B]
    last = logits[torch.arange(len(at), device=at.device), at]  # [B, V]
    return _taken(last, continuations[:, :, 0]).unsqueeze(-1)


def _tree(call: _Call, prompts: Tensor, mask: Tensor, continuations: Tensor) -> Tensor:
    """Log-probabilities [B, R, k] from one pass over prompts [B, n], padded on the left, and all continuations."""
    n, (_, n_branches, k) = prompts.shape[1], continuations.shape
    inputs = continuations[:, :, :-1]  # [B, R, k−1]: the last token of a continuation is only predicted
    ids = torch.cat([prompts, inputs.clamp(min=0).flatten(1)], dim=1)  # [B, N]
    behind = mask.sum(dim=1, keepdim=True) + torch.arange(k - 1, device=mask.device).repeat(n_branches)
    position = torch.cat([positions(mask), behind], dim=1)  # [B, N]
    output = call(
        torch.cat([mask, mask.new_zeros(inputs.flatten(1).shape)], dim=1),
        keep=ids.shape[1] - n + 1,
        input_ids=ids,
        attention_mask=tree_mask(mask, inputs != NONE, _dtype(call.model)),
        position_ids=position,
        use_cache=False,
    )
    logits = call.last(output.logits, ids.shape[1] - n + 1)  # [B, 1 + R(k−1), V]
    first = _taken(logits[:, 0], continuations[:, :, 0])  # [B, R]
    rest = logits[:, 1:].unflatten(1, (n_branches, k - 1))  # [B, R, k−1, V]
    later = _taken(rest, continuations[:, :, 1:].unsqueeze(-1)).squeeze(-1)  # [B, R, k−1]
    return torch.cat([first.unsqueeze(-1), later], dim=-1)


def tree_mask(prompt: Tensor, branches: Tensor, dtype: torch.dtype) -> Tensor:
    """What each position of prompt and branches may attend to, as numbers to add to the scores.

    A position sees itself; in the prompt what stands before it; in a branch the prompt, and its branch before it.

    Args:
        prompt: [B, n] real tokens of the prompts.
        branches: [B, R, k] real tokens of the branches, which stand behind the prompt one after the other.
        dtype: of the mask.

    Returns:
        [B, 1, N, N] with N = n + R·k: 0 where attention is allowed, else the least number of the type.
    """
    n, (_, n_branches, k) = prompt.shape[1], branches.shape
    device = prompt.device
    real = torch.cat([prompt.bool(), branches.flatten(1)], dim=1)  # [B, N]
    branch = torch.cat(
        [torch.full((n,), NONE, device=device), torch.arange(n_branches, device=device).repeat_interleave(k)]
    )  # [N], −1 in the prompt
    order = torch.arange(len(branch), device=device)
    seen = (branch[None, :] == NONE) | (branch[:, None] == branch[None, :])  # [N, N]
    allowed = (seen & (order[None, :] <= order[:, None]))[None] & real[:, None, :]  # [B, N, N]
    allowed = allowed | torch.eye(
        len(order), dtype=torch.bool, device=device
    )  # padding sees itself: no empty softmax
    least = torch.zeros((), dtype=dtype, device=device).masked_fill(~allowed, torch.finfo(dtype).min)
    return least.unsqueeze(1)


def _through_decoder(call: _Call, prompts: Tensor, mask: Tensor, continuations: Tensor) -> Tensor:
    """Log-probabilities [B, R, k]; the encoder reads the prompts once, the decoder every continuation."""
    n_items, n_branches, k = continuations.shape
    start = torch.full((n_items, 1), call.config.decoder_start_token_id, device=prompts.device)  # [B, 1]
    output = call(mask, input_ids=prompts, attention_mask=mask, decoder_input_ids=start, use_cache=False)
    first = _taken(output.logits[:, 0].float(), continuations[:, :, 0])  # [B, R]
    if k == 1:
        return first.unsqueeze(-1)
    ids = continuations[:, :, :-1].clamp(min=0).flatten(0, 1)  # [B·R, k−1]
    again = call(
        None,
        encoder_outputs=(copied_states(output.encoder_last_hidden_state, n_branches),),
        attention_mask=mask.repeat_interleave(n_branches, dim=0),
        decoder_input_ids=torch.cat([start.repeat_interleave(n_branches, dim=0), ids], dim=1),
        use_cache=False,
    )
    rest = again.logits[:, 1:].float().unflatten(0, (n_items, n_branches))  # [B, R, k−1, V]
    later = _taken(rest, continuations[:, :, 1:].unsqueeze(-1)).squeeze(-1)
    return torch.cat([first.unsqueeze(-1), later], dim=-1)


def _one_by_one(call: _Call, prompts: Tensor, mask: Tensor, continuations: Tensor) -> Tensor:
    """Log-probabilities [B, R, k], with a prompt for every continuation; prompts are padded on the right."""
    (n_items, n), (_, n_branches, k) = prompts.shape, continuations.shape
    lengths = mask.sum(dim=1)  # [B]
    rows = torch.arange(n_items, device=prompts.device).repeat_interleave(n_branches)  # [B·R]
    added = continuations.flatten(0, 1)[:, :-1]  # [B·R, k−1]
    ids = torch.nn.functional.pad(prompts[rows], (0, k - 1))  # [B·R, n+k−1]
    real = torch.nn.functional.pad(mask[rows], (0, k - 1))
    place = lengths[rows, None] + torch.arange(k - 1, device=prompts.device)  # [B·R, k−1]
    ids = ids.scatter(1, place, added.clamp(min=0))
    whole = real.scatter(1, place, (added != NONE).to(real.dtype))
    keep = int(n + k - lengths.min())
    output = call(real, keep=keep, every=n_branches, input_ids=ids, attention_mask=whole, use_cache=False)
    logits = call.last(output.logits, keep)  # [B·R, keep, V]
    at = lengths[rows, None] - 1 + torch.arange(k, device=prompts.device) - (ids.shape[1] - keep)  # [B·R, k]
    picked = logits.gather(1, at[..., None].expand(-1, -1, logits.shape[-1]))  # [B·R, k, V]
    targets = continuations.flatten(0, 1).unsqueeze(-1)  # [B·R, k, 1]
    return _taken(picked, targets).squeeze(-1).unflatten(0, (n_items, n_branches))


def _taken(logits: Tensor, ids: Tensor) -> Tensor:
    """Log-probabilities of tokens under logits [..., V]: of ids [..., R], −1 counts as token 0."""
    return logits.gather(-1, ids.clamp(min=0)) - logits.logsumexp(dim=-1, keepdim=True)


def positions(mask: Tensor) -> Tensor:
    """[B, n] positions that count real tokens only."""
    return (mask.long().cumsum(dim=1) - 1).clamp(min=0)


def left_padded(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Token ids and mask [B, n] with all padding moved to the left."""
    return _sorted(ids, mask, mask)


def right_padded(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Token ids and mask [B, n] with all padding moved to the right."""
    return _sorted(ids, mask, 1 - mask)


def _sorted(ids: Tensor, mask: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    order = key.argsort(dim=1, stable=True)
    return ids.gather(1, order), mask.gather(1, order)


def prompts_and_continuations(
    fields: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase
) -> dict[str, Tensor]:
    """A batch of B items: padded prompts `input_ids` and `attention_mask` [B, n], and `continuations` [B, R, k]."""
    prompts = [{"input_ids": each["input_ids"]} for each in fields]
    batch = dict(tokenizer.pad(prompts, return_tensors="pt", return_attention_mask=True))
    return batch | {"continuations": padded_continuations([each["continuations"] for each in fields])}


def padded_continuations(continuations: Sequence[Sequence[Sequence[int]]]) -> Tensor:
    """[B, R, k] token ids of the items' continuations, −1 where there is none."""
    n_branches = max(len(each) for each in continuations)
    k = max((len(ids) for each in continuations for ids in each), default=1)
    result = torch.full((len(continuations), n_branches, max(k, 1)), NONE)
    for row, each in enumerate(continuations):
        for column, ids in enumerate(each):
            result[row, column, : len(ids)] = torch.tensor(ids)
    return result


def _repeated(value: Tensor, every: int) -> Tensor:
    return value if every == 1 else value.repeat_interleave(every, dim=0)


def _dtype(model: nn.Module) -> torch.dtype:
    return next(parameter.dtype for parameter in model.parameters() if parameter.is_floating_point())
