"""The order in which items are read where order does not matter: longest first.

A batch pads to its longest text, so that items of similar length waste little; and memory runs out at once or never.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler


class LongestFirst(Sampler[int]):
    """Item numbers by falling length; equal ones in their order.

    Args:
        lengths: of every item [I].
        every: take only the items whose number it divides.
    """

    def __init__(self, lengths: np.ndarray, every: int = 1) -> None:
        self._order = np.argsort(-lengths[::every], kind="stable") * every

    def __iter__(self) -> Iterator[int]:
        return map(int, self._order)

    def __len__(self) -> int:
        return len(self._order)
