"""AdaLoRA (Zhang et al. 2023): low-rank updates whose ranks move to where gradients say that they matter."""

from __future__ import annotations

from typing import Any

import peft
import torch
from peft import AdaLoraModel
from torch import Tensor, nn
from transformers import PreTrainedModel, TrainerCallback

from dcpc.models.layers import attention_linears
from dcpc.training.carriers import PeftCarrier
from dcpc.tuner.acting import tuner_of
from dcpc_bench.method import Method

LORA_RANK = 8
"""Rank that the pruning ends with; scaling α is twice the rank."""


class AdaLoraCarrier(PeftCarrier):
    """PEFT's AdaLoRA, with the parts of a training loop that PEFT leaves to others.

    Ranks start half as high again and are pruned to the rank of LoRA between a tenth and half of the steps.
    """

    name = "adalora"

    def config(self, base: PreTrainedModel, steps: int, **settings: Any) -> peft.PeftConfig:
        """The configuration."""
        usual = {
            "total_step": steps,
            "init_r": LORA_RANK * 3 // 2,
            "target_r": LORA_RANK,
            "tinit": steps // 10,
            "tfinal": steps // 2,
            "lora_alpha": 2 * LORA_RANK,
            "lora_dropout": 0.1,
            "target_modules": attention_linears(base),
        }
        return peft.AdaLoraConfig(**(usual | settings))

    def callbacks(self, model: nn.Module) -> list[TrainerCallback]:
        """The reallocation of ranks."""
        return [AllocateRanks()]

    def penalties(self, model: nn.Module) -> dict[str, Tensor]:
        """γ times the mean over factors of ‖PᵀP − I‖_F, which keeps P and Q near orthogonal.

        PEFT adds it to a loss that the model computes itself; here the loss is computed outside the model.
        """
        tuner = tuner_of(model, AdaLoraModel)
        assert tuner is not None, "AdaLoRA was attached to this model"
        weight = tuner.peft_config[tuner.trainable_adapter_name].orth_reg_weight
        norms = []
        for name, factor in tuner.model.named_parameters():
            if factor.requires_grad and ("lora_A" in name or "lora_B" in name):
                gram = factor @ factor.T if "lora_A" in name else factor.T @ factor  # [r, r]
                norms.append(torch.linalg.matrix_norm(gram - torch.eye(len(gram), device=gram.device)))
        return {"orthogonality": weight * torch.stack(norms).mean()}


class AllocateRanks(TrainerCallback):
    """Moves AdaLoRA's budget of ranks after every optimizer step."""

    def on_optimizer_step(self, args: Any, state: Any, control: Any, model: nn.Module, **kwargs: Any) -> None:
        """Between the optimizer's step and the zeroing of the gradients, as PEFT asks."""
        tuner = tuner_of(model, AdaLoraModel)
        assert tuner is not None, "AdaLoRA was attached to this model"
        tuner.update_and_allocate(state.global_step)


METHOD = Method(
    "adalora",
    "Zhang et al. 2023",
    "plain cross-entropy on every judgement",
    carrier=AdaLoraCarrier(),
    adapter={"init_r": 6, "target_r": 4, "lora_alpha": 8},
)
