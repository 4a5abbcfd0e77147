"""Exponential moving average of the trainable weights (Polyak and Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class AveragedWeights:
    """A running average of a model's trainable tensors, `w̄ ← d·w̄ + (1 − d)·w`.

    The decay d rises with the number of updates t as `min(decay, (1 + t) / (10 + t))`, so that a short training
    is not averaged over its random start.

    Args:
        model: whose trainable tensors are averaged.
        decay: d in [0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.average = {name: tensor.detach().clone() for name, tensor in _trainable(model)}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights after an optimizer step."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, tensor in _trainable(model):
            self.average[name] = self.average[name].to(tensor.device).lerp(tensor.detach(), 1 - decay)

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Put the averaged weights into the model."""
        for name, tensor in _trainable(model):
            tensor.copy_(self.average[name])

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """The averaged weights for the length of a block, the trained ones after it."""
        trained = {name: tensor.detach().clone() for name, tensor in _trainable(model)}
        self.copy_to(model)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, tensor in _trainable(model):
                    tensor.copy_(trained[name])

    def state_dict(self) -> dict[str, Tensor]:
        """What a checkpoint must hold for an exact resume."""
        return {"updates": torch.tensor(self.updates), **{f"average.{k}": v for k, v in self.average.items()}}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up a checkpoint's state."""
        self.updates = int(state["updates"])
        self.average = {name: state[f"average.{name}"] for name in self.average}


def _trainable(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, tensor) for name, tensor in model.named_parameters() if tensor.requires_grad]
