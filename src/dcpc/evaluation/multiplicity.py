"""Correction of p-values where several comparisons are made at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """p-values adjusted by Holm's method (1979), float [M]: of the sorted ones, `min(1, max_{j≤i} (M − j + 1) p_j)`.

    Rejecting those ≤ α keeps the chance of any false claim ≤ α, however the comparisons depend on each other.
    """
    # Not statsmodels' `multipletests`: it collects garbage at every call, which took most of a report's time.
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1.0)
    return adjusted
