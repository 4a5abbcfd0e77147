"""Majority vote: each item is trained toward the label that most of its annotators gave."""

from __future__ import annotations

import numpy as np

from dcpc.data.annotations import Annotations
from dcpc_bench.method import Method
from dcpc_bench.methods.parts.item_targets import toward


def majority_vote(annotations: Annotations) -> np.ndarray:
    """One-hot majority label per item, float [I, C]; labels that tie share the mass evenly."""
    counts = annotations.counts
    top = counts == counts.max(axis=1, keepdims=True)  # [I, C]
    return top / top.sum(axis=1, keepdims=True)


METHOD = Method(
    "majority-vote",
    "the usual practice",
    "the majority label; ties share",
    rule=toward(majority_vote),
)
