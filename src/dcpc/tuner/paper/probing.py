"""Find the self-attention modules of any base model by watching one tiny forward pass."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from dcpc.errors import ModelError
from dcpc.tuner.paper.attention import implementation_name, recorded, unwrapped_name
from dcpc.tuner.paper.deberta import DisentangledSelfAttention
from dcpc.tuner.paper.prefix_layer import AttentionShape
from dcpc.tuner.trial_pass import DECODER_LENGTH, describe, is_encoder_decoder, run_once, unsupported

WRAPPED = ("sdpa", "eager")


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
                    fix="Load the base model with attn_implementation='sdpa' (or 'eager'), or use a carrier that "
                    "leaves attention alone: bottleneck or rank without num_virtual_tokens and correction.",
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
        decoder = is_encoder_decoder(model) and query.shape[2] == DECODER_LENGTH
        name = names[id(module)]
        shapes[name] = AttentionShape(
            name, widths[id(module)], query.shape[1], key.shape[1], key.shape[3], value.shape[3], decoder
        )

    hooks = [module.register_forward_pre_hook(note_width, with_kwargs=True) for module in model.modules()]
    try:
        with recorded(record):
            run_once(model)
    finally:
        for hook in hooks:
            hook.remove()
    if not shapes:
        raise unsupported(model, "no self-attention went through transformers' attention interface")
    return shapes
