"""Checks that every metric shares: shapes, probabilities that sum to one, items that somebody judged."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dcpc.errors import DataError, UsageError

SUM_TOLERANCE = 1e-3
"""How far a row of probabilities may be from 1 (float32 softmax over many labels) before it is an error."""


def check_probabilities(probabilities: ArrayLike) -> np.ndarray:
    """The predicted distributions as float64 [I, C], each row rescaled to sum to exactly 1.

    Raises:
        UsageError: not a matrix, a value that is negative or not finite, or a row that does not sum to 1.
    """
    matrix = np.asarray(probabilities, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] < 2:
        raise UsageError(
            f"probabilities need the shape (items, labels) with two labels or more, got {matrix.shape}"
        )
    if len(matrix) == 0:
        raise DataError("there are no items to evaluate", fix="Check the split and the filter of the items.")
    sums = matrix.sum(axis=1)  # [I]
    wrong = ~np.isfinite(matrix).all(axis=1) | (matrix < 0).any(axis=1) | (np.abs(sums - 1) > SUM_TOLERANCE)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise UsageError(
            f"{int(wrong.sum())} rows of the predicted probabilities are no distribution; "
            f"the first is row {row}: {matrix[row].tolist()}",
            fix="Pass the softmax of the logits, not the logits.",
        )
    return matrix / sums[:, None]


def check_counts(counts: ArrayLike, shape: tuple[int, ...]) -> np.ndarray:
    """The judgement counts (or any non-negative vote weights) as float64 [I, C].

    Raises:
        UsageError: the shape is not that of the probabilities, or a count is negative or not finite.
        DataError: an item has no judgement.
    """
    matrix = np.asarray(counts, dtype=np.float64)
    if matrix.shape != shape:
        raise UsageError(f"probabilities have the shape {shape} but counts have {matrix.shape}")
    if not np.isfinite(matrix).all() or (matrix < 0).any():
        raise UsageError("counts must be finite and not negative")
    empty = np.flatnonzero(matrix.sum(axis=1) == 0)
    if len(empty):
        raise DataError(
            f"{len(empty)} items have no judgement; the first is item {int(empty[0])}",
            fix="Leave out items that nobody judged.",
        )
    return matrix


def check_codes(codes: ArrayLike, length: int, n_classes: int, name: str) -> np.ndarray:
    """Label positions as int64 [length], each in 0 … n_classes − 1.

    Raises:
        UsageError: wrong shape or a position outside the label set.
    """
    vector = np.asarray(codes)
    if vector.shape != (length,) or not np.issubdtype(vector.dtype, np.integer):
        raise UsageError(f"{name} must be {length} integers, got {vector.dtype} with shape {vector.shape}")
    if length and (vector.min() < 0 or vector.max() >= n_classes):
        raise UsageError(f"{name} must lie between 0 and {n_classes - 1}")
    return vector.astype(np.int64)
