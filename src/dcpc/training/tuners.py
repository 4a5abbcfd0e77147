"""The tuner inside a PEFT model, also where distributed training has wrapped it."""

from __future__ import annotations

from typing import TypeVar

from torch import nn
from torch.nn.parallel import DistributedDataParallel

Tuner = TypeVar("Tuner", bound=nn.Module)


def tuner_of(model: nn.Module, kind: type[Tuner]) -> Tuner | None:
    """The tuner of a PEFT model if it is of this kind; None for other adapters and models without one."""
    if isinstance(model, DistributedDataParallel):
        model = model.module
    tuner = getattr(model, "base_model", None)
    return tuner if isinstance(tuner, kind) else None
