"""One tiny forward pass over a base model, to see what it does: how wide its states are, which modules attend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from dcpc.errors import ModelError
from dcpc.tuner.adapter_layer import device_of
from dcpc.tuner.forward_pass import ForwardPass, inside

# Tested in the architecture matrix (docs/architectures.md).
TESTED = (
    "BERT, RoBERTa, DistilBERT, ELECTRA, ModernBERT, DeBERTa-v2, "
    "GPT-2, Llama, Mistral, Qwen3, Gemma3, Phi-3, Qwen2, DeepSeek-V2, DeepSeek-V3, "
    "Mixtral, Qwen3-MoE, gpt-oss, Jamba, T5, BART"
)
# Unequal, so that cross-attention (queries of one length, keys of the other) can be told apart.
ENCODER_LENGTH, DECODER_LENGTH = 7, 5


def describe(model: nn.Module) -> str:
    """Class and model type, for messages: `BertForSequenceClassification (bert)`."""
    kind = getattr(getattr(model, "config", None), "model_type", None)
    return f"{type(model).__name__} ({kind})" if kind else type(model).__name__


def is_encoder_decoder(model: nn.Module) -> bool:
    """Whether a model has both an encoder and a decoder."""
    return bool(getattr(getattr(model, "config", None), "is_encoder_decoder", False))


def run_once(model: nn.Module, **options: Any) -> Any:
    """The output of the model's backbone for one made-up input, without its adapters.

    Args:
        model: the base model.
        **options: as for its forward pass.

    Raises:
        ModelError: the pass fails.
    """
    try:
        with torch.no_grad(), _evaluating(model), inside(ForwardPass(tuner=None, bare=True)):
            # The backbone: a classifier on an encoder-decoder could not take inputs of unequal lengths.
            return getattr(model, "base_model", model)(**_made_up_inputs(model), **options)
    except (TypeError, ValueError, RuntimeError, LookupError, AttributeError) as error:
        raise unsupported(model, f"a forward pass over token ids failed: {error}") from error


def state_widths(model: nn.Module) -> list[int]:
    """Widths of the hidden states of a model's embeddings and layers; of the encoder where it has two stacks.

    Raises:
        ModelError: the model gives no hidden states.
    """
    output = run_once(model, output_hidden_states=True, return_dict=True)
    states = output.get("hidden_states")
    states = output.get("encoder_hidden_states") if states is None else states
    if not states:
        raise unsupported(model, "it gives no hidden states, which readout=True reads")
    return [state.shape[-1] for state in states]


def unsupported(model: nn.Module, reason: str) -> ModelError:
    """The error about a base model that the tuner cannot be added to."""
    return ModelError(
        f"DCPC cannot be added to {describe(model)}: {reason}.", fix=f"Architectures that work: {TESTED}."
    )


def _made_up_inputs(model: nn.Module) -> dict[str, Tensor]:
    config = getattr(model, "config", None)
    names = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")
    special = [getattr(config, name, None) for name in names]
    token = next(number for number in range(len(special) + 1) if number not in special)
    ids = torch.full((1, ENCODER_LENGTH), token, device=device_of(model))  # [1,n]
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if is_encoder_decoder(model):
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
