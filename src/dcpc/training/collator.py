"""From examples to a batch: padded tokens of B items and the flat list of their J judgements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from dcpc.tasks import Classify, TaskShape
from dcpc.training.conflicts import conflicts_in_batch

JUDGEMENT_FIELDS = (
    "labels", "annotator_ids", "item_index", "items", "conflicts", "conflict_weights", "weights", "whole", "spare",
)  # fmt: skip
"""The fields of a batch that are not for the base model."""

SPARE = "spare"
"""Of a batch that is another rank's, and only passed so that all ranks make as many passes."""


@dataclass(frozen=True)
class Part:
    """Which rank's part of a batch is wanted: its items are dealt out in their order, as evenly as can be.

    Attributes:
        rank: of the process that asks.
        ranks: how many there are.
    """

    rank: int = 0
    ranks: int = 1

    def sizes(self, n_items: int) -> list[int]:
        """Items of every rank; a short last batch may leave some without any."""
        each, over = divmod(n_items, self.ranks)
        return [each + (rank < over) for rank in range(self.ranks)]


@dataclass(frozen=True)
class ItemCollator:
    """Pads the tokens of B items to the longest and lays their judgements end to end.

    A batch has the fields of its task shape, each with B rows, and `labels` [J], `annotator_ids` [J] (−1 unknown),
    `item_index` [J] (position in the batch of the judgement's item) and `items` [B] (numbers in the data set); where
    items have shares of labels, `weights` [J], which sum to 1 within an item. Where
    the data set knows mined pairs, also those with both sides in the batch: `conflicts` [P, 2] (positions of
    judgements) and `conflict_weights` [P].

    Of several ranks each makes its `part` of the batch that they train on together, and knows of the others' items
    all but the tokens: `whole` has the fields of judgements for all of them, the conflicts among them, and `sizes`
    [R], the items of every rank. One that is left without any has the first item, which counts for nothing.
    """

    tokenizer: PreTrainedTokenizerBase
    shape: TaskShape = field(default_factory=Classify)
    part: Part = field(default_factory=Part)

    def __call__(self, examples: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Make one batch."""
        if self.part.ranks == 1:
            return self._tokens(examples) | self._judgements(examples)
        sizes = self.part.sizes(len(examples))
        first = sum(sizes[: self.part.rank])
        own = examples[first : first + sizes[self.part.rank]] or examples[:1]
        whole = self._judgements(examples) | {"sizes": torch.tensor(sizes)}
        # Of pairs only those of the whole batch count.
        alone = [{k: v for k, v in example.items() if k != "partners"} for example in own]
        return self._tokens(own) | self._judgements(alone) | {"whole": whole}

    def _tokens(self, examples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        ours = (*JUDGEMENT_FIELDS, "item", "partners")
        fields = [{k: v for k, v in example.items() if k not in ours} for example in examples]
        return self.shape.collate(fields, self.tokenizer)

    @staticmethod
    def _judgements(examples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        batch: dict[str, Tensor] = {}
        counts = [len(example["labels"]) for example in examples]
        batch["labels"] = torch.from_numpy(np.concatenate([example["labels"] for example in examples]))
        batch["annotator_ids"] = torch.from_numpy(
            np.concatenate([example["annotator_ids"] for example in examples])
        )
        batch["item_index"] = torch.repeat_interleave(torch.arange(len(examples)), torch.tensor(counts))
        batch["items"] = torch.tensor([example["item"] for example in examples])
        if "weights" in examples[0]:
            batch["weights"] = torch.from_numpy(np.concatenate([example["weights"] for example in examples]))
        if "partners" in examples[0]:
            pairs, weights = conflicts_in_batch(
                batch["items"].tolist(), counts, [example["partners"] for example in examples]
            )
            batch["conflicts"], batch["conflict_weights"] = torch.from_numpy(pairs), torch.from_numpy(weights)
        return batch
