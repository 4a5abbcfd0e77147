"""The random order of an epoch, eight bytes an item instead of a Python number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from accelerate.data_loader import SeedableRandomSampler
from torch.utils.data import DataLoader

AT_ONCE = 10_000
"""Items whose numbers are Python's at a time."""


class EpochOrder(SeedableRandomSampler):
    """accelerate's order of an epoch, item for item, held as a tensor: its own is a list of all the numbers.

    Args:
        sampler: whose order it is: without replacement, of each item once.
    """

    def __init__(self, sampler: SeedableRandomSampler) -> None:
        super().__init__(sampler.data_source, generator=sampler.generator, data_seed=sampler.initial_seed)
        self.epoch = sampler.epoch

    def __iter__(self) -> Iterator[int]:
        """Item numbers of the current epoch."""
        generator = torch.Generator() if self.generator is None else self.generator
        generator.manual_seed(self.epoch + self.initial_seed)
        for part in torch.randperm(len(self.data_source), generator=generator).split(AT_ONCE):
            yield from part.tolist()
        self.set_epoch(self.epoch + 1)


def with_lean_order(loader: DataLoader) -> DataLoader:
    """A loader that accelerate has prepared, with the same order held in less memory."""
    batches: Any = loader.batch_sampler
    sampler: Any = getattr(batches, "sampler", None)
    if (
        type(sampler) is SeedableRandomSampler
        and not sampler.replacement
        and sampler.num_samples == len(sampler.data_source)
    ):
        batches.sampler = EpochOrder(sampler)
    return loader
