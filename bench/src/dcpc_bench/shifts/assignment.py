"""Who judges what: a random design with b annotators per item."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dcpc.errors import UsageError

_CELLS_AT_ONCE = 20_000_000


@dataclass(frozen=True)
class Assignment:
    """J = I·b judgements to be made.

    Attributes:
        item: the judged item, int [J], ascending.
        annotator: who judges it, int [J]; b different annotators per item.
        n_annotators: A, the size of the pool.
    """

    item: np.ndarray
    annotator: np.ndarray
    n_annotators: int


def assign_annotators(
    n_items: int, n_annotators: int, labels_per_item: int, rng: np.random.Generator
) -> Assignment:
    """Give each of I items b different annotators out of A, uniformly at random.

    Raises:
        UsageError: if b is not between 1 and A.
    """
    if not 1 <= labels_per_item <= n_annotators:
        raise UsageError(
            f"{labels_per_item} labels per item cannot come from {n_annotators} different annotators.",
            fix="Ask for at least one label per item, and no more than there are annotators.",
        )
    step = max(1, _CELLS_AT_ONCE // n_annotators)  # items per block, so that memory stays bounded
    blocks = []
    for start in range(0, n_items, step):
        keys = rng.random((min(step, n_items - start), n_annotators))  # [block, A]
        if labels_per_item < n_annotators:
            chosen = np.argpartition(keys, labels_per_item - 1, axis=1)[:, :labels_per_item]
        else:
            chosen = np.argsort(keys, axis=1)
        blocks.append(chosen.ravel())
    annotator = np.concatenate(blocks) if blocks else np.empty(0, dtype=np.int64)
    return Assignment(np.repeat(np.arange(n_items), labels_per_item), annotator, n_annotators)
