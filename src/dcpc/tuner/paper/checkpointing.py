"""Gradient checkpointing: layers are recomputed in the backward pass, with the state of their own forward pass."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

Contexts = Callable[[], tuple[AbstractContextManager[None], AbstractContextManager[None]]]
"""Makes the contexts of a layer's forward pass and of its recomputation."""


def adopt_checkpointing(model: nn.Module, contexts: Contexts) -> None:
    """Run every checkpointed layer of a model in these contexts."""
    module: Any
    for module in model.modules():
        if getattr(module, "gradient_checkpointing", False):
            module._gradient_checkpointing_func = partial(_checkpoint, contexts)


def restore_checkpointing(model: nn.Module) -> None:
    """Give checkpointed layers a checkpoint function back that does not need the tuner."""
    module: Any
    for module in model.modules():
        if hasattr(module, "_gradient_checkpointing_func"):
            module._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)


def _checkpoint(contexts: Contexts, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    # Reentrant checkpoints lose the gradient of everything that leaves the layer by another way.
    kwargs.pop("use_reentrant", None)
    return checkpoint(function, *args, use_reentrant=False, context_fn=contexts, **kwargs)
