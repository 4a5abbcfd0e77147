"""Training targets straight from the votes: the majority, their shares, or every judgement for itself."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dcpc.data.annotations import Annotations


class Rows(NamedTuple):
    """Training rows: which item each one shows, and the class it should get.

    Attributes:
        items: position of the item, int [R].
        classes: position of the label, int [R].
    """

    items: np.ndarray
    classes: np.ndarray


def majority_vote(annotations: Annotations) -> np.ndarray:
    """One-hot majority label per item, float [I, C]; labels that tie share the mass evenly."""
    counts = annotations.counts
    top = counts == counts.max(axis=1, keepdims=True)  # [I, C]
    return top / top.sum(axis=1, keepdims=True)


def soft_labels(annotations: Annotations) -> np.ndarray:
    """The share of an item's judgements that each label got, float [I, C] (Peterson et al. 2019)."""
    return annotations.soft_labels


def disaggregated(annotations: Annotations) -> Rows:
    """Each judgement as its own training row, [J]: repeated labelling without aggregation (Sheng et al. 2008).

    With cross-entropy its gradient is that of soft labels with items weighed by their number of judgements.
    """
    return Rows(annotations.item_codes, annotations.label_codes)
