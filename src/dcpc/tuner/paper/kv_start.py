"""A prefix that starts as what the frozen base model makes of a text: keys and values of in-context examples.

The counterpart of PEFT's `initialize_kv_prefix_from_past_key_values` (after Cartridges, Eyuboglu et al. 2025,
arXiv:2506.06266). PEFT lets a text begin behind its prefix; here it begins at position 0 whatever the prefix is, so
the examples are read at the positions −m … −1. Rotary positions act through their differences alone, and a fresh
adapter computes what the base model does with the examples in front of every prompt. A layer with a sliding window
sees all of its prefix, however far it is behind.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dcpc.errors import ModelError, UsageError
from dcpc.tuner.adapter_layer import device_of
from dcpc.tuner.forward_pass import ForwardPass, inside
from dcpc.tuner.model import DCPCModel
from dcpc.tuner.paper.attention import recorded
from dcpc.tuner.paper.prefix_layer import CHILD, PrefixLayer
from dcpc.tuner.trial_pass import describe, is_encoder_decoder


@torch.no_grad()
def initialize_kv_prefix(tuner: DCPCModel, ids: Sequence[int]) -> None:
    """Let the acting adapter's prefix start as the keys and values of m tokens.

    With a correction module its meta-matrix M starts at zero, so that `P + M p_pref` starts as P; a gate starts open.

    Args:
        tuner: with an adapter of `merge="concat"` and m = `num_virtual_tokens`.
        ids: the m tokens.

    Raises:
        UsageError: the acting adapter has no such prefix, or one of another length.
        ModelError: the base model reads on from no prefix, or not in all of its layers.
    """
    _check(tuner, len(ids))
    found: dict[int, tuple[Tensor, Tensor]] = {}

    def note(module: nn.Module, query: Tensor, key: Tensor, value: Tensor) -> None:
        found[id(module)] = key, value

    model, device = tuner.model, device_of(tuner.model)
    inputs: dict[str, Any] = {
        "input_ids": torch.tensor([list(ids)], device=device),  # [1,m]
        "attention_mask": torch.ones(1, len(ids), dtype=torch.long, device=device),
        "position_ids": torch.arange(-len(ids), 0, device=device)[None],  # [1,m]
        "use_cache": False,
    }
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        inputs["logits_to_keep"] = 1
    was_training = model.training
    model.eval()
    try:
        with inside(ForwardPass(tuner, bare=True)), recorded(note):
            model(**inputs)
    finally:
        model.train(was_training)
    for module in model.modules():
        layer = module._modules.get(CHILD)
        if isinstance(layer, PrefixLayer) and layer.has_prefix:
            layer.start_from(*found[id(module)])


def _check(tuner: DCPCModel, length: int) -> None:
    config, model = tuner.active_config, tuner.model
    if config is None or config.num_virtual_tokens == 0:
        raise UsageError(
            "the acting adapter has no prefix that could start from examples.",
            fix="Give it one: DCPCConfig(num_virtual_tokens=…, merge='concat').",
        )
    if config.num_virtual_tokens != length:
        raise UsageError(
            f"a prefix of {config.num_virtual_tokens} positions cannot start from {length} tokens.",
            fix=f"Set num_virtual_tokens={length}.",
        )
    if config.merge != "concat":
        raise UsageError(
            f"merge={config.merge!r} attends to its prefix apart from the text, which is no reading of examples.",
            fix="Set merge='concat' (--set merge=concat).",
        )
    others = "Leave demonstrations out, or use a causal language model with rotary positions, as smollm2."
    if not model.can_generate() or is_encoder_decoder(model):
        raise ModelError(
            f"{describe(model)} is no causal language model: it reads no examples in front of a text.",
            fix=others,
        )
    assert tuner.machinery is not None  # a prefix needs it
    n_layers, n_attending = model.config.get_text_config().num_hidden_layers, len(tuner.machinery.shapes)
    if n_attending != n_layers:
        raise ModelError(
            f"{n_layers - n_attending} of the {n_layers} layers of {describe(model)} have no attention: they "
            "would not know of the examples.",
            fix=others,
        )
    if not tuner.rotary:
        raise ModelError(
            f"{describe(model)} counts positions from the first token: a prefix would move the text behind it.",
            fix=others,
        )
