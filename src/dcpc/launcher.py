"""What a launcher (`torchrun`, `accelerate launch`) has told this process, in its environment; without torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_ENGINES = {"FSDP": "ACCELERATE_USE_FSDP", "DeepSpeed": "ACCELERATE_USE_DEEPSPEED"}


def processes() -> int:
    """How many processes were started for one command; 1 without a launcher."""
    return max(1, _number("WORLD_SIZE", 1))


def process() -> int:
    """This one among them, from 0."""
    return _number("RANK", 0) if processes() > 1 else 0


def attempt() -> int:
    """How often the launcher has started them again."""
    return _number("TORCHELASTIC_RESTART_COUNT", 0)


def engine() -> str | None:
    """What `accelerate launch` has been told to train with, `FSDP` or `DeepSpeed`; None for neither."""
    for name, variable in _ENGINES.items():
        if os.environ.get(variable, "false").lower() in ("1", "true", "yes"):
            return name
    return None


@contextmanager
def without_engine() -> Iterator[None]:
    """A block in which accelerate and transformers do not see that FSDP or DeepSpeed was asked for.

    They would load the base model on the first rank alone, and split what trains; dcpc carries both out by itself.
    """
    before = {name: os.environ[name] for name in _ENGINES.values() if name in os.environ}
    os.environ |= dict.fromkeys(before, "false")
    try:
        yield
    finally:
        os.environ |= before


def _number(name: str, default: int) -> int:
    try:
        return int(os.environ.get(name) or default)
    except ValueError:
        return default
