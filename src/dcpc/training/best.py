"""The best epoch's weights, kept in memory: a short training writes no checkpoints."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback


class BestWeights(TrainerCallback):
    """Copies the trainable tensors whenever the validation loss is the lowest so far.

    With averaged weights the copy is of the average, which is what is evaluated.
    """

    def __init__(self) -> None:
        self.loss = float("inf")
        self.weights: dict[str, Tensor] = {}

    def on_evaluate(
        self, args: Any, state: Any, control: Any, model: nn.Module, metrics: dict[str, float], **kwargs: Any
    ) -> None:
        """Keep the weights that were just evaluated, if they are the best."""
        if metrics["eval_loss"] < self.loss:
            self.loss = metrics["eval_loss"]
            self.weights = {n: t.detach().clone() for n, t in model.named_parameters() if t.requires_grad}

    @torch.no_grad()
    def restore(self, model: nn.Module) -> None:
        """Put the best weights back; without an evaluation the model stays as it is."""
        tensors = dict(model.named_parameters())
        for name, weight in self.weights.items():
            tensors[name].copy_(weight)
