"""Distance between distributions over ordered labels."""

from __future__ import annotations

import numpy as np


def wasserstein(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """First Wasserstein distance per item, Σ_{c<C} |F_p(c) − F_q(c)| with cumulative sums F, float [I].

    Neighbouring labels are one unit apart, so it is the mean number of label steps by which mass has to move:
    0 to C − 1.

    Args:
        p: predicted distributions over labels from low to high, float [I, C], rows sum to 1.
        q: the annotators' distributions, float [I, C], rows sum to 1.
    """
    return np.abs(np.cumsum(p - q, axis=1)[:, :-1]).sum(axis=1)
