"""Correction of p-values where several comparisons are made at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from statsmodels.stats.multitest import multipletests


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """p-values adjusted by Holm's method (1979), float [M]; none for no comparisons.

    Rejecting those ≤ α keeps the chance of any false claim ≤ α, however the comparisons depend on each other.
    """
    return multipletests(p_values, method="holm")[1] if len(p_values) else np.empty(0)
