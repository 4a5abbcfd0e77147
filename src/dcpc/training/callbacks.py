"""What `DCPCTrainer` does at moments that transformers' Trainer announces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

from dcpc import ranks
from dcpc.training.averaging import AveragedWeights
from dcpc.training.checks import check_finite, gradient_norm

if TYPE_CHECKING:
    from dcpc.training.trainer import DCPCTrainer


class CheckGradients(TrainerCallback):
    """Stops at gradients that are no numbers: a checkpoint of the weights they lead to would not be good."""

    def on_pre_optimizer_step(
        self, args: Any, state: Any, control: Any, model: torch.nn.Module, **kwargs: Any
    ) -> None:
        """Before every optimizer step."""
        if not args.fp16:  # loss scaling in fp16 skips such steps by itself, and lowers its scale
            check_finite(gradient_norm(model), "gradient", state.global_step, args.output_dir)


class OwnNoise(TrainerCallback):
    """Dropout of the ranks must not be alike; the first rank's is that of a training in one process."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Once, when the first rank's seed has been set everywhere."""
        if not ranks.is_first():
            torch.manual_seed(args.seed + ranks.number())


class StartEpoch(TrainerCallback):
    """Lets the rule look at the training items before every epoch."""

    def __init__(self, trainer: DCPCTrainer) -> None:
        self.trainer = trainer

    def on_epoch_begin(
        self, args: Any, state: Any, control: Any, model: torch.nn.Module, **kwargs: Any
    ) -> None:
        """Before every epoch."""
        self.trainer.rule.start_epoch(model, self.trainer.training_items, state.epoch or 0.0)


class Average(TrainerCallback):
    """Updates the averaged weights after every optimizer step."""

    def __init__(self, averaged: AveragedWeights) -> None:
        self.averaged = averaged

    def on_step_end(self, args: Any, state: Any, control: Any, model: torch.nn.Module, **kwargs: Any) -> None:
        """After every optimizer step."""
        self.averaged.update(model)
