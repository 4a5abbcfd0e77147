"""Items as training examples: one forward pass carries all judgements of an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from dcpc.data import Annotations
from dcpc.data.pairs import JudgementPairs
from dcpc.tasks import Classify, TaskShape
from dcpc.training.conflicts import partners_of_items
from dcpc.training.encoding import EncodedItems


class ItemDataset(Dataset[dict[str, Any]]):
    """The I items of some annotations as token lists, each with its judgements.

    Args:
        annotations: judgements; their label set gives the class numbers.
        tokenizer: of the base model.
        annotator_index: annotator id → number in the adapter; ids that are missing count as unknown (−1).
        max_length: tokens after which texts are cut; None for the tokenizer's own limit.
        conflicts: mined pairs of the annotations' judgements, for an objective with `mined_pairs`.
        shape: what an item is to the model; None for a text to be classified with a head.

    Attributes:
        shape: as given.
        notes: what was cut or done otherwise than asked, to be shown to the user.
    """

    def __init__(
        self,
        annotations: Annotations,
        tokenizer: PreTrainedTokenizerBase,
        annotator_index: Mapping[str, int] | None = None,
        max_length: int | None = None,
        conflicts: JudgementPairs | None = None,
        shape: TaskShape | None = None,
    ) -> None:
        self.annotations, self.shape = annotations, shape or Classify()
        self._tokens = EncodedItems(
            annotations.items, lambda items: self.shape.encode(items, tokenizer, max_length)
        )
        self.notes = self._tokens.notes
        known = annotator_index or {}
        numbers = np.array([known.get(name, -1) for name in annotations.annotators] + [-1])
        annotators = numbers[annotations.annotator_codes]  # [J]; code −1 reads the last entry, −1
        order = np.argsort(annotations.item_codes, kind="stable")
        # Item by item: the judgements of item i stand from `_starts[i]` to `_starts[i + 1]`.
        sizes = np.bincount(annotations.item_codes, minlength=annotations.n_items)
        self._starts = np.concatenate([[0], np.cumsum(sizes)])
        self._labels = self.shape.judged(annotations)[order].astype(np.int32)
        self._annotators = annotators[order].astype(np.int32)
        weights = annotations.weights
        self._weights = None if weights is None else weights[order].astype(np.float32)
        self.conflicts = conflicts
        self._partners = None if conflicts is None else partners_of_items(annotations, conflicts)

    def __len__(self) -> int:
        return self.annotations.n_items

    def __getitem__(self, item: int) -> dict[str, Any]:
        """Token lists, `labels` and `annotator_ids` of the item's judgements, its number `item`, its `partners`.

        Where the item has shares of labels, these are the `weights` of its labels.
        """
        return self.__getitems__([item])[0]

    def __getitems__(self, items: Sequence[int]) -> list[dict[str, Any]]:
        """The examples of a batch, whose texts are tokenised together; loaders ask for these."""
        return [
            {**tokens, **self._judgements(item)}
            for tokens, item in zip(self._tokens.of(items), items, strict=True)
        ]

    def _judgements(self, item: int) -> dict[str, Any]:
        rows = slice(self._starts[item], self._starts[item + 1])
        found: dict[str, Any] = {
            "labels": self._labels[rows].astype(np.int64),
            "annotator_ids": self._annotators[rows].astype(np.int64),
            "item": item,
        }
        if self._weights is not None:
            found["weights"] = self._weights[rows]
        if self._partners is not None:
            found["partners"] = self._partners[item]
        return found

    @property
    def lengths(self) -> np.ndarray:
        """By which items of similar length are told, int [I]: see `EncodedItems`."""
        return self._tokens.lengths

    def conflicting_items(self) -> np.ndarray:
        """Item numbers of the two sides of every mined pair, int64 [P, 2]."""
        if self.conflicts is None:
            return np.empty((0, 2), dtype=np.int64)
        items = self.annotations.item_codes
        return np.stack([items[self.conflicts.first], items[self.conflicts.second]], axis=1)
