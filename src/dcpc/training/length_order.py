"""The order in which items are read where order does not matter: longest first.

A batch pads to its longest text, so that items of similar length waste little; and memory runs out at once or never.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler


class LongestFirst(Sampler[int]):
    """Item numbers by falling number of tokens; equal ones in their order.

    Args:
        texts: token ids of every item.
    """

    def __init__(self, texts: Sequence[Sequence[int]]) -> None:
        self._order: list[int] = np.argsort([-len(ids) for ids in texts], kind="stable").tolist()

    def __iter__(self) -> Iterator[int]:
        return iter(self._order)

    def __len__(self) -> int:
        return len(self._order)
