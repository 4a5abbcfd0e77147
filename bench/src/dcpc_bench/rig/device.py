"""What a cell runs on: an accelerator or the processor; and the memory that it took there.

torch is imported where it is used: the command that starts the workers does without.
"""

from __future__ import annotations

import os
import resource
import sys
from collections import Counter
from collections.abc import Iterable

PROCESSOR = "cpu"
"""Name of the device where there is no accelerator."""

_VISIBLE = "CUDA_VISIBLE_DEVICES"


def keep_one_gpu(number: int) -> None:
    """Leave this process one of the machine's GPUs, so that workers spread over all of them.

    To be called before CUDA is used.

    Args:
        number: of the worker; those with consecutive numbers get one GPU after the other.
    """
    import torch

    listed = os.environ.get(_VISIBLE)
    if listed is None:
        listed = ",".join(map(str, range(torch.cuda.device_count())))
    gpus = [gpu for gpu in listed.split(",") if gpu]
    if len(gpus) > 1:
        os.environ[_VISIBLE] = gpus[number % len(gpus)]


def device_name() -> str:
    """Of what trainings of this process run on: the GPU's model, the kind of another accelerator, or `cpu`."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return PROCESSOR if accelerator is None else accelerator.type


def most_common(devices: Iterable[str]) -> str | None:
    """The device of most cells; None without cells."""
    found = Counter(devices).most_common(1)
    return found[0][0] if found else None


def peak_memory() -> float:
    """Peak of this process, MiB: allocated on the GPU where there is one, else resident, libraries included."""
    import torch

    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 2**20, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 2**20 if sys.platform == "darwin" else peak / 2**10, 1)
