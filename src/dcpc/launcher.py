"""What a launcher (`torchrun`, `accelerate launch`) has told this process, in its environment; without torch."""

from __future__ import annotations

import os


def processes() -> int:
    """How many processes were started for one command; 1 without a launcher."""
    return max(1, _number("WORLD_SIZE", 1))


def process() -> int:
    """This one among them, from 0."""
    return _number("RANK", 0) if processes() > 1 else 0


def attempt() -> int:
    """How often the launcher has started them again."""
    return _number("TORCHELASTIC_RESTART_COUNT", 0)


def _number(name: str, default: int) -> int:
    try:
        return int(os.environ.get(name) or default)
    except ValueError:
        return default
