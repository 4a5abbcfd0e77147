"""The order of an epoch in which the two items of a mined pair share a batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
from torch.utils.data import Sampler


class PartnerSampler(Sampler[int]):
    """Every item once per epoch, so that consecutive runs of `batch_size` items hold pairs together.

    1. Items that pairs connect form groups; one larger than a batch is walked through from a random item,
       neighbours first, and cut into pieces of one batch, which parts few pairs and other ones each epoch.
    2. Groups go into batches, large ones first, each into the emptiest one, so that pairs spread evenly. If no
       batch has room left for a group, it is split over the emptiest ones.
    3. Single items fill the batches at random; items are shuffled within batches, and full batches among them.

    The order depends on the seed and the epoch alone: a resumed training skips to where it was, and distributed
    processes deal the same batches among them.

    Args:
        pairs: item numbers of the mined pairs [P, 2].
        n_items: I.
        batch_size: items per batch of one process.
        seed: of all choices.
        epoch: gives the current epoch, asked at the start of each.
    """

    def __init__(
        self, pairs: np.ndarray, n_items: int, batch_size: int, seed: int, epoch: Callable[[], int]
    ) -> None:
        self.n_items, self.batch_size, self.seed, self.epoch = n_items, batch_size, seed, epoch
        apart = pairs[pairs[:, 0] != pairs[:, 1]]
        both = np.unique(np.concatenate([apart, apart[:, ::-1]]), axis=0)  # [2P, 2], sorted by first item
        self._paired = np.unique(both[:, 0])
        starts = np.searchsorted(both[:, 0], self._paired[1:])
        # Not strict: of no pairs at all, `np.split` makes one empty part.
        self._neighbours = dict(zip(self._paired.tolist(), np.split(both[:, 1], starts), strict=False))

    def __len__(self) -> int:
        return self.n_items

    def __iter__(self) -> Iterator[int]:
        """Item numbers of the current epoch."""
        rng = np.random.default_rng([self.seed, self.epoch()])
        n_batches = -(-self.n_items // self.batch_size)
        room = np.full(n_batches, self.batch_size)
        room[-1] = self.n_items - (n_batches - 1) * self.batch_size  # only the last batch may be short
        batches = _fill(self._groups(rng), room)
        single = np.setdiff1d(np.arange(self.n_items), self._paired, assume_unique=True)
        rng.shuffle(single)
        rest = np.split(single, np.cumsum([room[i] - len(batch) for i, batch in enumerate(batches)])[:-1])
        # Batches with equally much room got their groups by position: only now does the order become random.
        order = [*rng.permutation(n_batches - 1).tolist(), n_batches - 1]
        for number in order:
            yield from rng.permutation(np.concatenate([batches[number], rest[number]]).astype(int)).tolist()

    def _groups(self, rng: np.random.Generator) -> list[list[int]]:
        """Connected items, at most a batch of them each; larger groups first, equal ones in random order."""
        groups, seen = [], set[int]()
        for root in rng.permutation(self._paired).tolist():
            if root in seen:
                continue
            seen.add(root)
            walk, waiting = [], deque([root])
            while waiting:
                item = waiting.popleft()
                walk.append(item)
                new = [other for other in self._neighbours[item].tolist() if other not in seen]
                seen.update(new)
                waiting.extend(new)
            groups += [walk[i : i + self.batch_size] for i in range(0, len(walk), self.batch_size)]
        return sorted(groups, key=len, reverse=True)


def _fill(groups: list[list[int]], room: np.ndarray) -> list[list[int]]:
    """Put groups, large ones first, into batches of some room each, always into one of the emptiest."""
    batches: list[list[int]] = [[] for _ in room]
    by_room: list[list[int]] = [[] for _ in range(int(room.max(initial=0)) + 1)]
    for number, free in enumerate(room.tolist()):
        by_room[free].append(number)
    most = len(by_room) - 1
    for group in groups:
        while group:
            while not by_room[most]:
                most -= 1
            number = by_room[most].pop()
            part, group = group[:most], group[most:]
            batches[number] += part
            by_room[most - len(part)].append(number)
    return batches
