"""What AdaLoRA (Zhang et al. 2023) needs of a training loop: its penalty, and the ranks' reallocation."""

from __future__ import annotations

from typing import Any

import torch
from peft import AdaLoraModel
from torch import Tensor, nn
from transformers import TrainerCallback

from dcpc.training.tuners import tuner_of


def rank_orthogonality(model: nn.Module) -> Tensor | None:
    """γ times the mean over factors of ‖PᵀP − I‖_F, which keeps P and Q near orthogonal; None for other adapters.

    PEFT adds it to a loss that the model computes itself; here the loss is computed outside the model.
    """
    tuner = tuner_of(model, AdaLoraModel)
    if tuner is None:
        return None
    weight = tuner.peft_config[tuner.trainable_adapter_name].orth_reg_weight
    norms = []
    for name, factor in tuner.model.named_parameters():
        if factor.requires_grad and ("lora_A" in name or "lora_B" in name):
            gram = factor @ factor.T if "lora_A" in name else factor.T @ factor  # [r, r]
            norms.append(torch.linalg.matrix_norm(gram - torch.eye(len(gram), device=gram.device)))
    return weight * torch.stack(norms).mean()


class AllocateRanks(TrainerCallback):
    """Moves AdaLoRA's budget of ranks to where gradients say that it matters, after every optimizer step."""

    @staticmethod
    def needed(model: nn.Module) -> bool:
        """Whether the model's adapter is AdaLoRA."""
        return tuner_of(model, AdaLoraModel) is not None

    def on_optimizer_step(self, args: Any, state: Any, control: Any, model: nn.Module, **kwargs: Any) -> None:
        """Between the optimizer's step and the zeroing of the gradients, as PEFT asks."""
        tuner = tuner_of(model, AdaLoraModel)
        if tuner is not None:
            tuner.update_and_allocate(state.global_step)
