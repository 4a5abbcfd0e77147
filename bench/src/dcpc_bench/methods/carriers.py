"""Carriers of the baselines: PEFT's other methods, and changes to the base model in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from dcpc.data.annotations import Annotations
from dcpc.errors import UsageError
from dcpc.training import carriers as core
from dcpc.training.arguments import DCPCTrainingArguments
from dcpc_bench.methods.bitfit import train_only_biases
from dcpc_bench.methods.bottleneck import add_bottleneck_adapters
from dcpc_bench.methods.peft_methods import PEFT_CARRIERS


def train_everything(model: PreTrainedModel) -> int:
    """Full fine-tuning: every tensor trains. Returns their number of parameters."""
    model.requires_grad_(True)
    return sum(p.numel() for p in model.parameters())


class InPlace(core.Carrier):
    """Changes the base model itself, so that what it trains cannot be saved as an adapter.

    Args:
        name: of the method.
        change: what it does to the base model.
    """

    def __init__(self, name: str, change: Callable[..., int]) -> None:
        self.name, self.change = name, change

    def attach(
        self,
        base: PreTrainedModel,
        train: Annotations,
        arguments: DCPCTrainingArguments,
        settings: Mapping[str, Any],
    ) -> nn.Module:
        """The changed base model.

        Raises:
            UsageError: a setting that it does not take.
        """
        try:
            self.change(base, **settings)
        except TypeError as error:
            raise UsageError(f"{self.name} does not take these settings: {error}") from error
        return base


CARRIERS: dict[str, core.Carrier] = {
    **core.CARRIERS,
    **{carrier.name: carrier for carrier in PEFT_CARRIERS},
    "full": InPlace("full", train_everything),
    "bitfit": InPlace("bitfit", train_only_biases),
    "bottleneck-adapter": InPlace("bottleneck-adapter", add_bottleneck_adapters),
}
"""All carriers by name."""
