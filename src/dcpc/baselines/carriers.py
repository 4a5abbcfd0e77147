"""Carriers: which tensors of a base model train. PEFT's methods, DCPC's tuner, and changes in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from peft import get_peft_model
from torch import nn
from transformers import PreTrainedModel

from dcpc.baselines.bitfit import train_only_biases
from dcpc.baselines.bottleneck import add_bottleneck_adapters
from dcpc.baselines.peft_methods import CONFIGS, adapter_config
from dcpc.errors import UsageError
from dcpc.names import check_name


def train_everything(model: PreTrainedModel) -> int:
    """Full fine-tuning: every tensor trains. Returns their number of parameters."""
    model.requires_grad_(True)
    return sum(p.numel() for p in model.parameters())


IN_PLACE: dict[str, Callable[..., int]] = {
    "full": train_everything,
    "bitfit": train_only_biases,
    "bottleneck-adapter": add_bottleneck_adapters,
}
"""Carriers that change the base model itself, and cannot be saved as an adapter."""

CARRIERS = (*CONFIGS, *IN_PLACE)
"""All carriers but DCPC's own."""


def attach(
    method: str, base: PreTrainedModel, labels: list[str], total_steps: int, settings: Mapping[str, Any]
) -> nn.Module:
    """A base model with a carrier; what does not train is frozen.

    Args:
        method: one of `CARRIERS`.
        base: a classifier; changed in place.
        labels: the C labels.
        total_steps: optimizer steps of the training, which AdaLoRA has to know.
        settings: fields of the PEFT configuration, or arguments of the change in place.

    Raises:
        UsageError: an unknown carrier or setting.
    """
    if method in IN_PLACE:
        try:
            IN_PLACE[method](base, **settings)
        except TypeError as error:
            raise UsageError(f"{method} does not take these settings: {error}") from error
        return base
    check_name(method, ("dcpc", *CARRIERS), "method")
    schedule = {"total_step": total_steps} if method == "adalora" else {}
    return get_peft_model(base, adapter_config(method, base, labels, **{**schedule, **settings}))
