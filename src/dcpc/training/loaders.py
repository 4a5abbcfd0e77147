"""How several ranks share the items: the same batches as one process would have, each rank its part of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.data_loader import prepare_data_loader
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, Sampler
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import seed_worker

from dcpc import ranks
from dcpc.errors import UsageError
from dcpc.training.arguments import DCPCTrainingArguments, items_per_batch
from dcpc.training.collator import SPARE, ItemCollator, Part


def shared_batches(
    data: Dataset,
    sampler: Sampler | None,
    collator: ItemCollator,
    args: DCPCTrainingArguments,
    accelerator: Accelerator,
) -> DataLoader:
    """Training batches of which every rank makes its part.

    Not dealt out by accelerate: it gives ranks batches of their own, repeats items where the last ones do not go
    round, and no rank would know which items the others have.

    Args:
        data: the training set.
        sampler: the order of the items, as for one process.
        collator: makes batches.
        args: of the training.
        accelerator: its rules for random orders are kept.

    Raises:
        UsageError: the order is one that deals out batches by itself.
    """
    if isinstance(sampler, BatchSampler) or sampler is None:
        raise UsageError(
            f"train_sampling_strategy={args.train_sampling_strategy} deals out batches by itself, and here several "
            "processes share each.",
            fix="Leave it out, or use group_by_length.",
        )
    if isinstance(sampler, LengthGroupedSampler):
        sampler.batch_size *= items_per_batch(args) // args.train_batch_size
        sampler = _FirstRanksOrder(sampler)
    loader = DataLoader(
        data,
        batch_size=items_per_batch(args),
        sampler=sampler,
        collate_fn=replace(collator, part=Part(ranks.number(), ranks.count())),
        drop_last=args.dataloader_drop_last,
        num_workers=args.dataloader_num_workers,
        pin_memory=args.dataloader_pin_memory,
        persistent_workers=args.dataloader_persistent_workers,
        prefetch_factor=args.dataloader_prefetch_factor,
        worker_init_fn=partial(seed_worker, num_workers=args.dataloader_num_workers, rank=ranks.number()),
    )
    return prepare_data_loader(
        loader,
        accelerator.device,
        num_processes=1,
        process_index=0,
        put_on_device=accelerator.device_placement,
        rng_types=[],
        use_seedable_sampler=isinstance(sampler, RandomSampler),
        data_seed=args.data_seed,
    )


class _FirstRanksOrder(Sampler[int]):
    """An order that is drawn anew every epoch, as the first rank has drawn it."""

    def __init__(self, sampler: LengthGroupedSampler) -> None:
        self._sampler = sampler

    def __len__(self) -> int:
        return len(self._sampler)

    def __iter__(self) -> Iterator[int]:
        return iter(ranks.once(lambda: list(self._sampler)))


def batches_of_rank(data: Dataset, sampler: Sampler | None, collate: Callable, batch_size: int) -> DataLoader:
    """Of all batches as many as fall to a rank: whole ones, so that each is computed as one process would do it.

    All ranks get as many; one that has none left gets another's, marked with `SPARE`, which counts for nothing.

    Args:
        data: items.
        sampler: their order; None for that of the data.
        collate: makes batches.
        batch_size: items in each.
    """
    order = list(range(len(data)) if sampler is None else sampler)  # type: ignore[arg-type]
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    shares = list(ranks.in_step(batches))
    spare = frozenset(share[0] for share, own in shares if not own)
    return DataLoader(data, batch_sampler=[share for share, _ in shares], collate_fn=_Marking(collate, spare))


@dataclass(frozen=True)
class _Marking:
    """Makes batches, and marks those that begin with a `spare` item."""

    collate: Callable
    spare: frozenset[int]

    def __call__(self, examples: Sequence[dict[str, Any]]) -> dict[str, Any]:
        batch = self.collate(examples)
        return batch | {SPARE: torch.tensor(True)} if examples[0]["item"] in self.spare else batch
