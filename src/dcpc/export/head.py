"""The classification head of a model that is exported, and the change of its logits that it has to hold."""

from __future__ import annotations

import torch
from torch import nn

from dcpc.adapter import TrainedAdapter
from dcpc.errors import UsageError
from dcpc.export.whose import Affine, Whose, affine

HEADS = ("classifier", "score", "classification_head")
"""What transformers calls heads; PEFT trains and saves them whole."""


def classifying_layer(model: nn.Module, n_labels: int) -> nn.Linear:
    """The linear layer that gives the logits: the last one of the head with C outputs.

    Raises:
        UsageError: there is none.
    """
    found = None
    for name, module in model.named_modules():
        inside = any(part in HEADS for part in name.split("."))
        # A head that PEFT keeps twice: the trained copy acts, and is the last by order.
        if inside and isinstance(module, nn.Linear) and module.out_features == n_labels:
            found = module
    if found is None:
        raise UsageError(
            f"no linear layer of {type(model).__name__} gives {n_labels} logits.", fix="Use --as onnx."
        )
    return found


def change_of(adapter: TrainedAdapter, who: Whose) -> Affine:
    """The change that the head has to hold; to be asked before the adapter is merged, which forgets annotators."""
    head = classifying_layer(adapter.model, len(adapter.task.labels))
    return affine(adapter, who, has_bias=head.bias is not None)


@torch.no_grad()
def bake(change: Affine, layer: nn.Linear) -> None:
    """Let a head's last layer hold a change of its logits: W ← s W, b ← s b + e, in place."""
    layer.weight.mul_(change.scale)
    if layer.bias is not None:
        layer.bias.mul_(change.scale).add_(change.bias.to(layer.bias))


def said_of(change: Affine, who: Whose) -> list[str]:
    """Notes on how near an export comes to what the adapter predicts."""
    if change.largest_error == 0.0:
        return []
    return [
        f"{who.name[0].upper()}{who.name[1:]} is a mean over annotators; the head holds the nearest bias and factor: "
        f"no probability is off by more than {change.largest_error:.3f} over usual logits. --as onnx is exact."
    ]
