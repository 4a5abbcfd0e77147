"""Find the self-attention modules of any base model by watching one tiny forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from dcpc.errors import ModelError
from dcpc.tuner.attention import implementation_name, set_recorder, unwrapped_name
from dcpc.tuner.deberta import DisentangledSelfAttention
from dcpc.tuner.layer import AttentionShape

# Tested in the architecture matrix (docs/architectures.md).
TESTED = (
    "BERT, RoBERTa, DistilBERT, ELECTRA, ModernBERT, DeBERTa-v2, "
    "GPT-2, Llama, Mistral, Qwen3, Gemma3, Phi-3, T5, BART"
)
WRAPPED = ("sdpa", "eager")
# Unequal, so that cross-attention (queries of one length, keys of the other) can be told apart.
ENCODER_LENGTH, DECODER_LENGTH = 7, 5


class AttentionSwitch:
    """Switches a base model between its own attention functions and the wrapped ones.

    Args:
        model: the base model, with a Hugging Face config on every module that attends.

    Raises:
        ModelError: the model uses an attention implementation that cannot take a prefix.
    """

    def __init__(self, model: nn.Module) -> None:
        self.original: list[tuple[Any, str]] = []
        found: list[Any] = [module.config for module in model.modules() if hasattr(module, "config")]
        seen: set[int] = set()
        while found:
            config = found.pop()
            if id(config) in seen or not hasattr(config, "_attn_implementation"):
                continue
            seen.add(id(config))
            found.extend(getattr(config, name, None) for name in getattr(config, "sub_configs", {}))
            if config._attn_implementation is not None:
                # A config object that another adapted model shares carries the wrapped name already.
                self.original.append((config, unwrapped_name(config._attn_implementation)))
        for _, name in self.original:
            if name not in WRAPPED:
                raise ModelError(
                    f"{describe(model)} uses the attention implementation {name!r}; it cannot take a prefix.",
                    fix="Load the base model with attn_implementation='sdpa' (or 'eager').",
                )

    def install(self, merge: str) -> None:
        """Let the model use the wrapped attention functions."""
        for config, name in self.original:
            # The empty key sets this config alone; a plain name would overwrite its sub-configs too.
            config._attn_implementation = {"": implementation_name(merge, name)}

    def restore(self) -> None:
        """Give the model its own attention functions back."""
        for config, name in self.original:
            config._attn_implementation = {"": name}


def describe(model: nn.Module) -> str:
    """Class and model type, for messages: `BertForSequenceClassification (bert)`."""
    kind = getattr(getattr(model, "config", None), "model_type", None)
    return f"{type(model).__name__} ({kind})" if kind else type(model).__name__


def hidden_states(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """The hidden states [B,n,H] among the arguments of an attention module, None where there are none."""
    candidates = (*args, kwargs.get("hidden_states"), *kwargs.values())
    return next((value for value in candidates if isinstance(value, Tensor) and value.dim() == 3), None)


def probe(model: nn.Module) -> dict[str, AttentionShape]:
    """Names and shapes of the self-attention modules, in the order in which they run.

    The model must use the wrapped attention functions (`AttentionSwitch.install`).

    Raises:
        ModelError: the forward pass fails or no self-attention is found.
    """
    names = {id(module): name for name, module in model.named_modules()}
    encoder_decoder = bool(getattr(getattr(model, "config", None), "is_encoder_decoder", False))
    shapes: dict[str, AttentionShape] = {}
    widths: dict[int, int] = {}

    def note_width(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        hidden = hidden_states(args, kwargs)
        if hidden is None:
            return
        widths[id(module)] = hidden.shape[-1]
        if isinstance(module, DisentangledSelfAttention):
            heads, width = module.num_attention_heads, module.attention_head_size
            name = names[id(module)]
            shapes[name] = AttentionShape(name, hidden.shape[-1], heads, heads, width, width)

    def record(module: nn.Module, query: Tensor, key: Tensor, value: Tensor) -> None:
        if query.shape[2] != key.shape[2] or id(module) not in names:
            return
        decoder = encoder_decoder and query.shape[2] == DECODER_LENGTH
        name = names[id(module)]
        shapes[name] = AttentionShape(
            name, widths[id(module)], query.shape[1], key.shape[1], key.shape[3], value.shape[3], decoder
        )

    hooks = [module.register_forward_pre_hook(note_width, with_kwargs=True) for module in model.modules()]
    set_recorder(record)
    try:
        with torch.no_grad(), _evaluating(model):
            # The backbone: a classifier on an encoder-decoder could not take inputs of unequal lengths.
            backbone = getattr(model, "base_model", model)
            backbone(**_dummy_inputs(model, encoder_decoder))
    except (TypeError, ValueError, RuntimeError, LookupError, AttributeError) as error:
        raise _unsupported(model, f"a forward pass over token ids failed: {error}") from error
    finally:
        set_recorder(None)
        for hook in hooks:
            hook.remove()
    if not shapes:
        raise _unsupported(model, "no self-attention went through transformers' attention interface")
    return shapes


def _unsupported(model: nn.Module, reason: str) -> ModelError:
    return ModelError(
        f"DCPC cannot be added to {describe(model)}: {reason}.", fix=f"Architectures that work: {TESTED}."
    )


def _dummy_inputs(model: nn.Module, encoder_decoder: bool) -> dict[str, Tensor]:
    config = getattr(model, "config", None)
    names = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")
    special = [getattr(config, name, None) for name in names]
    token = next(number for number in range(len(special) + 1) if number not in special)
    device = next(model.parameters()).device
    ids = torch.full((1, ENCODER_LENGTH), token, device=device)  # [1,n]
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if encoder_decoder:
        inputs["decoder_input_ids"] = ids[:, :DECODER_LENGTH]
    return inputs


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
