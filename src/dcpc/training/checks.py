"""What is checked while training: silent no-ops and losses that are no numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn
from transformers.trainer_utils import get_last_checkpoint

from dcpc.errors import TrainingError
from dcpc.names import first_of


@contextmanager
def gradients_checked(model: nn.Module) -> Iterator[None]:
    """A block with the first backward pass, which must reach every trainable tensor.

    What reaches them is seen while it comes: DeepSpeed takes gradients from their tensors at once.

    Raises:
        TrainingError: naming the tensors that have no gradient; training them would be a silent no-op.
    """
    trained = {name: tensor for name, tensor in model.named_parameters() if tensor.requires_grad}
    reached: set[int] = set()
    hooks = [
        tensor.register_post_accumulate_grad_hook(lambda tensor: reached.add(id(tensor)))
        for tensor in trained.values()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
    missing = [name for name, tensor in trained.items() if id(tensor) not in reached]
    if missing:
        recomputes = getattr(model, "is_gradient_checkpointing", False)
        receive = "tensor receives" if len(missing) == 1 else "tensors receive"
        raise TrainingError(
            f"{len(missing)} trainable {receive} no gradient: {first_of(missing, 5)}.",
            fix="Leave gradient checkpointing out: PEFT's prefixes, for one, are not trained under it."
            if recomputes
            else "Freeze them (requires_grad_(False)), or leave them out of modules_to_save.",
        )


def check_finite(value: float, name: str, step: int, output_dir: str | None) -> None:
    """Stop at a loss or gradient that is not a number, before it reaches weights and checkpoints.

    Args:
        value: what must be finite.
        name: what it is, for the message.
        step: optimizer steps done.
        output_dir: folder of the checkpoints.

    Raises:
        TrainingError: naming the step and the last good checkpoint.
    """
    if math.isfinite(value):
        return
    last = get_last_checkpoint(output_dir) if output_dir and Path(output_dir).is_dir() else None
    kept = f"The last good checkpoint is {last}." if last else "No checkpoint had been written yet."
    raise TrainingError(
        f"the {name} became {value} at step {step + 1}.",
        fix=f"{kept} Lower the learning rate, or look for broken inputs.",
    )


def gradient_norm(model: nn.Module) -> float:
    """Norm of all gradients together; not a number where any of them is not."""
    gradients = [tensor.grad for tensor in model.parameters() if tensor.grad is not None]
    return torch.nn.utils.get_total_norm(gradients).item() if gradients else 0.0
