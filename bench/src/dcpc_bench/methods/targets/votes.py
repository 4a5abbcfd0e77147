"""Training targets straight from the votes."""

from __future__ import annotations

import numpy as np

from dcpc.data.annotations import Annotations


def majority_vote(annotations: Annotations) -> np.ndarray:
    """One-hot majority label per item, float [I, C]; labels that tie share the mass evenly."""
    counts = annotations.counts
    top = counts == counts.max(axis=1, keepdims=True)  # [I, C]
    return top / top.sum(axis=1, keepdims=True)
