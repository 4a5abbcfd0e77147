"""Mined conflict pairs on their way to the objective: from a data set, through a batch, to pairs of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dcpc.data import Annotations
from dcpc.data.pairs import JudgementPairs
from dcpc.data.pairs.preference import PRIOR
from dcpc.objective import Pairs


@dataclass(frozen=True)
class Partners:
    """The mined pairs of which one item is the first side.

    Attributes:
        own: which of the item's judgements, counted from 0 [P].
        item: number of the other side's item, perhaps the same [P].
        other: which of that item's judgements [P].
        weight: posterior that preference explains the difference; 0.5, its prior, without annotators, [P].
    """

    own: np.ndarray
    item: np.ndarray
    other: np.ndarray
    weight: np.ndarray


def partners_of_items(annotations: Annotations, conflicts: JudgementPairs) -> list[Partners]:
    """The mined pairs by the item of their first side, I entries."""
    items = annotations.item_codes
    order = np.argsort(items, kind="stable")
    sizes = np.bincount(items, minlength=annotations.n_items)  # [I]
    place = np.empty(len(items), dtype=np.int64)  # [J], which of its item's judgements each one is
    place[order] = np.arange(len(items)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    by_item = np.argsort(items[conflicts.first], kind="stable")  # [P]
    first, second = conflicts.first[by_item], conflicts.second[by_item]
    weight = np.nan_to_num(conflicts.posterior[by_item], nan=PRIOR).astype(np.float32)
    starts = np.searchsorted(items[first], np.arange(1, annotations.n_items))
    columns = [np.split(values, starts) for values in (place[first], items[second], place[second], weight)]
    return [Partners(*values) for values in zip(*columns, strict=True)]


def conflicts_in_batch(
    items: Sequence[int], counts: Sequence[int], partners: Sequence[Partners]
) -> tuple[np.ndarray, np.ndarray]:
    """The mined pairs with both sides in a batch.

    Args:
        items: numbers of the B items.
        counts: judgements of each [B].
        partners: of each item [B].

    Returns:
        Positions among the batch's judgements, int64 [P, 2], and weights, float32 [P].
    """
    starts = dict(zip(items, np.cumsum(counts) - np.asarray(counts), strict=True))
    pairs, weights = [np.empty((0, 2), dtype=np.int64)], [np.empty(0, dtype=np.float32)]
    for item, mine in zip(items, partners, strict=True):
        start = np.array([starts.get(other, -1) for other in mine.item.tolist()], dtype=np.int64)
        here = start >= 0
        pairs.append(np.stack([starts[item] + mine.own[here], start[here] + mine.other[here]], axis=1))
        weights.append(mine.weight[here])
    return np.concatenate(pairs), np.concatenate(weights)


def mined_row_pairs(conflicts: Tensor, weights: Tensor, item_index: Tensor) -> Pairs:
    """Mined pairs of judgements as pairs of the rows that went through the model.

    Where a row carries several judgements, a pair's weight is the share of its cross judgements that conflict,
    each by its posterior; pairs within a row compare nothing and are left out. Where every judgement has its
    own row, pairs and weights stay as they were mined.

    Args:
        conflicts: positions of judgements [P, 2].
        weights: posteriors [P].
        item_index: row of each judgement [J].
    """
    rows = item_index[conflicts]  # [P, 2]
    apart = rows[:, 0] != rows[:, 1]
    rows, weights = rows[apart].sort(dim=1).values, weights[apart]
    pairs, inverse = torch.unique(rows, dim=0, return_inverse=True)
    total = torch.zeros(len(pairs), device=weights.device).index_add(0, inverse, weights.float())
    counts = torch.bincount(item_index)
    a, b = pairs[:, 0], pairs[:, 1]
    return Pairs(a, b, total / (counts[a] * counts[b]))
