"""The pooled features of a classifier: what enters the last linear layer of its head, whatever the architecture."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from dcpc.errors import ModelError
from dcpc.models.layers import head_modules


class PooledFeatures:
    """Reads the features of the latest forward pass.

    Args:
        model: a classifier, bare or inside a PEFT model.

    Attributes:
        layer: the last linear layer of the head, of C outputs.

    Raises:
        ModelError: the model has no such layer.
    """

    def __init__(self, model: nn.Module) -> None:
        self.layer = last_linear(model)
        self._features: Tensor | None = None
        self.layer.register_forward_pre_hook(self._read)

    def _read(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        self._features = args[0]

    def of(self, attention_mask: Tensor) -> Tensor:
        """Features of the latest forward pass, [B, H].

        A decoder's head sees all tokens, [B, n, H]; its features are those of the last real token.

        Args:
            attention_mask: of that forward pass, [B, n].
        """
        features = self._features
        assert features is not None, "no forward pass has been made"
        if features.ndim == 3:
            positions = torch.arange(attention_mask.shape[1], device=attention_mask.device)
            last = (attention_mask * positions).argmax(dim=1)  # [B]
            features = features[torch.arange(len(features), device=features.device), last]
        return features.float()


def last_linear(model: nn.Module) -> nn.Linear:
    """The layer that gives the logits: the last trained linear layer of the head, with one output per label."""
    base = cast("PreTrainedModel", base_model(model))
    found = [
        layer
        for head in head_modules(base)
        for name, layer in base.get_submodule(head).named_modules()
        if isinstance(layer, nn.Linear)
        and layer.out_features == base.config.num_labels
        and "original_module" not in name.split(".")
    ]
    if not found:
        raise ModelError(
            f"the head of {type(base).__name__} ends in no linear layer with one output per label",
            fix="Choose a method without a head of its own, or another base model.",
        )
    return found[-1]


def base_model(model: nn.Module) -> nn.Module:
    """The transformers model inside a PEFT model; a bare model itself."""
    get = getattr(model, "get_base_model", None)
    return model if get is None else get()
