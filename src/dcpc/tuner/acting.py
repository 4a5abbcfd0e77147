"""The DCPC tuner inside a PEFT model, and a forward pass of which it records what the correction module made."""

from __future__ import annotations

from typing import Any, TypeVar

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dcpc.tuner.forward_pass import PassRecord, Styles
from dcpc.tuner.model import DCPCModel

Tuner = TypeVar("Tuner", bound=nn.Module)


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside what distributed training has put around it."""
    return model.module if isinstance(model, DistributedDataParallel) else model


def tuner_of(model: nn.Module, kind: type[Tuner]) -> Tuner | None:
    """The tuner of a PEFT model if it is of this kind; None for other adapters and models without one."""
    tuner = getattr(unwrapped(model), "base_model", None)
    return tuner if isinstance(tuner, kind) else None


def dcpc_tuner(model: nn.Module) -> DCPCModel | None:
    """The DCPC tuner inside a PEFT model; None where the adapter is another method."""
    return tuner_of(model, DCPCModel)


def recorded_pass(
    model: nn.Module, tokens: dict[str, Tensor], *, prompt: Tensor | None = None, **options: Any
) -> tuple[Any, Styles | None]:
    """A forward pass, and what the adapter's correction module made of the inputs (None without one).

    Args:
        model: with any adapter; one that is no DCPC adapter records nothing.
        tokens: of B inputs, and further arguments of the base model.
        prompt: [B, n] positions over which the module pools; None for all that the attention mask shows.
        **options: `annotator_ids` and `noise`, for adapters that take them, or arguments of the base model.
    """
    tuner = dcpc_tuner(model)
    config = None if tuner is None else tuner.active_config
    if config is None or not config.correction:
        return model(**tokens, **options), None
    record = PassRecord()
    if prompt is not None:
        options["prompt_mask"] = prompt
    return model(**tokens, **options, record=record), record.styles
