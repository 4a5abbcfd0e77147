"""The order of an epoch is accelerate's, whatever holds it."""

from __future__ import annotations

import torch
from accelerate.data_loader import SeedableRandomSampler, prepare_data_loader
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from dcpc.training.epoch_order import EpochOrder, with_lean_order

ITEMS = TensorDataset(torch.arange(25_003))


def test_items_come_in_accelerates_order_epoch_by_epoch() -> None:
    ours = EpochOrder(SeedableRandomSampler(ITEMS, data_seed=7))
    theirs = SeedableRandomSampler(ITEMS, data_seed=7)
    for _ in range(3):
        epoch = list(ours)
        assert epoch == list(theirs)
        assert all(type(item) is int for item in epoch[:3])
    ours.set_epoch(1)
    theirs.set_epoch(1)
    assert list(ours) == list(theirs)


def test_a_prepared_loader_has_it_and_gives_the_same_batches() -> None:
    def loader() -> DataLoader:
        sampler = RandomSampler(ITEMS, generator=torch.Generator().manual_seed(3))
        return prepare_data_loader(
            DataLoader(ITEMS, batch_size=1_000, sampler=sampler), use_seedable_sampler=True, data_seed=3
        )

    ours, theirs = with_lean_order(loader()), loader()
    assert isinstance(ours.batch_sampler.sampler, EpochOrder)
    for _ in range(2):
        for (a,), (b,) in zip(ours, theirs, strict=True):
            assert torch.equal(a, b)


def test_other_orders_stay() -> None:
    loader = DataLoader(ITEMS, batch_size=5)
    sampler = loader.batch_sampler.sampler
    assert with_lean_order(loader).batch_sampler.sampler is sampler
