"""What the judgements of an item come to, from how often each label was given: shares, and agreement."""

from __future__ import annotations

import numpy as np


def soft_labels(counts: np.ndarray) -> np.ndarray:
    """The share of an item's judgements that each label got, q_ic = n_ic / Σ_c n_ic, float [I, C] from counts [I, C].

    Rows sum to 1; every item needs a judgement.
    """
    return counts / counts.sum(axis=1, keepdims=True)


def pairwise_agreement(counts: np.ndarray) -> float | None:
    """Mean over items of the share of pairs of judgements with the same label.

    With n_ic judgements of class c on item i and n_i = Σ_c n_ic, over items with n_i ≥ 2:
    mean_i Σ_c n_ic (n_ic − 1) / (n_i (n_i − 1)).

    Args:
        counts: whole numbers [I, C].

    Returns:
        The agreement in [0, 1], or None if no item has two judgements.
    """
    sizes = counts.sum(axis=1)  # [I]
    several = sizes >= 2
    if not several.any():
        return None
    same = (counts * (counts - 1)).sum(axis=1)[several]
    return float(np.mean(same / (sizes * (sizes - 1))[several]))


def one_hot(codes: np.ndarray, n_classes: int) -> np.ndarray:
    """The counts of single judgements: label codes [J] as rows with a single one, float [J, C]."""
    rows = np.zeros((len(codes), n_classes))
    rows[np.arange(len(codes)), codes] = 1
    return rows
