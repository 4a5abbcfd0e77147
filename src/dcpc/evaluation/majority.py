"""Classification against the majority label; items without a majority are left out and counted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.metrics import accuracy_score, f1_score


class MajorityScores(NamedTuple):
    """Agreement of one predicted label per item with the majority of its judgements.

    Attributes:
        macro_f1: mean F1 over the labels that occur among the majority or the predicted labels
            (scikit-learn's convention); F1 of a label that is never right is 0. NaN if all items are tied.
        accuracy: share of items whose predicted label is the majority label. NaN if all items are tied.
        items: number of items with a majority.
        ties: number of items left out because two or more labels share the highest count.
    """

    macro_f1: float
    accuracy: float
    items: int
    ties: int


def majority_labels(counts: np.ndarray) -> np.ndarray:
    """The label with strictly the most judgements, int [I] from counts [I, C]; −1 where the top is tied."""
    top = counts.max(axis=1, keepdims=True)  # [I, 1]
    tied = (counts == top).sum(axis=1) > 1  # [I]
    return np.where(tied, -1, counts.argmax(axis=1))


def majority_scores(predicted: np.ndarray, counts: np.ndarray) -> MajorityScores:
    """Macro-F1 and accuracy of predicted labels, int [I], against the majority of counts [I, C]."""
    majority = majority_labels(counts)
    clear = majority >= 0
    ties = int((~clear).sum())
    if not clear.any():
        return MajorityScores(float("nan"), float("nan"), 0, ties)
    truth, guess = majority[clear], predicted[clear]
    return MajorityScores(
        macro_f1=float(f1_score(truth, guess, average="macro", zero_division=0)),
        accuracy=float(accuracy_score(truth, guess)),
        items=int(clear.sum()),
        ties=ties,
    )
