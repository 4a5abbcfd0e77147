"""Token lists of items: made ahead for a few, as batches ask for them where there are many.

A token list takes some kilobytes of Python objects, a text a hundred bytes, and of many items most of a training is
over before the last has been tokenised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dcpc.data.annotations import CHATS, ITEM_COLUMNS
from dcpc.data.mapped import by_parts
from dcpc.tasks import Encoded

AHEAD = 20_000
"""Items up to which all are tokenised at once."""


class EncodedItems:
    """I items as token lists.

    Args:
        items: I rows with the columns that the task shape reads.
        encode: makes token lists of some of them.

    Attributes:
        lengths: how long each item is, int [I]: in tokens where all are tokenised ahead, else in characters.
        notes: what was cut or done otherwise than asked, to be shown to the user; of many items what is true of the
            first `AHEAD`.
    """

    def __init__(self, items: pd.DataFrame, encode: Callable[[pd.DataFrame], Encoded]) -> None:
        self._items, self._encode = items, encode
        encoded = encode(items.iloc[:AHEAD])  # of many, the first tell what cannot be read, and what is cut
        self.notes = list(encoded.notes)
        self._ahead: dict[str, Sequence[Any]] | None = None
        if len(items) <= AHEAD:
            self._ahead = encoded.fields
            self.lengths = np.array([len(ids) for ids in encoded.fields["input_ids"]])
            return
        self.notes = [f"Of the first {AHEAD:,} items: {note}" for note in self.notes]
        self.lengths = np.zeros(len(items), dtype=np.int32)
        for name in (name for name in (*ITEM_COLUMNS, *CHATS) if name in items):
            self.lengths += by_parts(items[name], _characters)

    def __len__(self) -> int:
        return len(self._items)

    def of(self, items: Sequence[int]) -> list[dict[str, Any]]:
        """The fields of some items, by their numbers."""
        if self._ahead is not None:
            return [{name: values[item] for name, values in self._ahead.items()} for item in items]
        fields = self._encode(self._items.iloc[list(items)].reset_index(drop=True)).fields
        return [{name: values[row] for name, values in fields.items()} for row in range(len(items))]


def _characters(values: pd.Series) -> np.ndarray:
    texts = values if values.dtype == "str" else values.astype(str)  # chats may be lists
    return texts.str.len().to_numpy(dtype=np.int32)
