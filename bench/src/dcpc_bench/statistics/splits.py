"""Splits by item, and the budget of annotations that training may see."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from dcpc.data.annotations import Annotations
from dcpc.errors import DataError, UsageError

Budget = Literal[1, "all"]


class Split(NamedTuple):
    """Three sets of annotations without an item in common."""

    train: Annotations
    validation: Annotations
    test: Annotations


def split_by_item(
    annotations: Annotations, seed: int, *, validation: float = 0.15, test: float = 0.25
) -> Split:
    """Split at random so that all judgements of one item land on one side.

    Args:
        annotations: all judgements.
        seed: of the split.
        validation: share of the items for validation.
        test: share of the items for the test.

    Raises:
        UsageError: shares that leave nothing to train on.
        DataError: so few items that a side would be empty.
    """
    if min(validation, test) <= 0 or validation + test >= 1:
        raise UsageError("the shares for validation and test must be above 0 and leave items to train on")
    n = annotations.n_items
    n_test, n_validation = round(n * test), round(n * validation)
    if min(n_test, n_validation, n - n_test - n_validation) < 1:
        raise DataError(
            f"{n} items are too few to split into training, validation and test",
            where=annotations.source,
            fix="Annotate more items, or choose larger shares.",
        )
    order = np.random.default_rng(seed).permutation(n)
    side = np.zeros(n, dtype=np.int64)
    side[order[:n_test]] = 2
    side[order[n_test : n_test + n_validation]] = 1
    of_judgement = side[annotations.item_codes]  # [J]
    return Split(*(annotations.where(of_judgement == s) for s in range(3)))


def draw_budget(annotations: Annotations, budget: Budget, seed: int) -> Annotations:
    """The judgements that training may see: one per item, drawn evenly among the item's own, or all of them.

    Raises:
        UsageError: a budget that is neither 1 nor "all".
    """
    if budget == "all":
        return annotations
    if budget != 1:
        raise UsageError(f'the budget is 1 annotation per item or "all", not {budget!r}')
    order = np.random.default_rng(seed).permutation(annotations.n_judgements)
    _, first = np.unique(annotations.item_codes[order], return_index=True)
    return annotations.where(np.sort(order[first]))


def folds_by_item(annotations: Annotations, n_folds: int, seed: int) -> np.ndarray:
    """For cross-validation: the fold of every item, 0 … n_folds − 1, int [I].

    Raises:
        DataError: fewer items than folds.
    """
    if annotations.n_items < n_folds:
        raise DataError(
            f"{annotations.n_items} items cannot be divided into {n_folds} folds", where=annotations.source
        )
    return np.random.default_rng(seed).permutation(annotations.n_items) % n_folds
