"""Correction of p-values where several comparisons are made at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dcpc.errors import UsageError


def holm(p_values: ArrayLike) -> np.ndarray:
    """Adjusted p-values, float [M]; rejecting those ≤ α keeps the chance of any false claim ≤ α.

    p̃_(k) = max_{j ≤ k} min(1, (M − j + 1) p_(j)) over the sorted p-values (Holm 1979). The comparisons
    may depend on each other in any way.

    Raises:
        UsageError: a value outside 0 … 1.
    """
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise UsageError("p-values must be a list of numbers between 0 and 1")
    order = np.argsort(values)
    factors = np.arange(len(values), 0, -1)  # M, M − 1, …, 1
    adjusted = np.maximum.accumulate(np.minimum(1.0, values[order] * factors))
    result = np.empty_like(adjusted)
    result[order] = adjusted
    return result
