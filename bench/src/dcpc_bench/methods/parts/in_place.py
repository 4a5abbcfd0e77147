"""Carriers that change the base model itself, so that what they train cannot be saved as an adapter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from dcpc.data.annotations import Annotations
from dcpc.errors import UsageError
from dcpc.training.arguments import DCPCTrainingArguments
from dcpc.training.carriers import Carrier


class InPlace(Carrier):
    """A function that changes the base model and says how many numbers train.

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
