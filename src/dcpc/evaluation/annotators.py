"""How often a prediction differs from what each annotator said."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dcpc.errors import UsageError


def per_annotator_error(
    predicted: ArrayLike,
    label_codes: ArrayLike,
    annotator_codes: ArrayLike,
    n_annotators: int | None = None,
) -> np.ndarray:
    """Share of each annotator's judgements that differ from the prediction, float [A], from 0 to 1.

    One row per judgement, so it takes a consensus (`predicted_of_item[annotations.item_codes]`) as well as a
    prediction made for the annotator who judged. `np.nanmean` of the result weighs every annotator the same.

    Args:
        predicted: predicted label position per judgement, int [J].
        label_codes: label position that the annotator gave, int [J].
        annotator_codes: position of the annotator, int [J]; judgements with −1 (unknown) are left out.
        n_annotators: A; by default one more than the highest position.

    Returns:
        Error rate per annotator; NaN for annotators without a judgement.

    Raises:
        UsageError: the three arrays do not have one length.
    """
    guess, label, annotator = (np.asarray(x) for x in (predicted, label_codes, annotator_codes))
    if not guess.shape == label.shape == annotator.shape or guess.ndim != 1:
        raise UsageError(
            "per-annotator error needs one predicted label, one label and one annotator per judgement, "
            f"got shapes {guess.shape}, {label.shape} and {annotator.shape}"
        )
    known = annotator >= 0
    size = n_annotators if n_annotators is not None else int(annotator.max(initial=-1)) + 1
    wrong = np.bincount(annotator[known], weights=(guess != label)[known], minlength=size)  # [A]
    total = np.bincount(annotator[known], minlength=size)  # [A]
    return np.divide(wrong, total, out=np.full(size, np.nan), where=total > 0)


def mean_annotator_error(errors: np.ndarray) -> float:
    """Mean over annotators of `per_annotator_error` [A], every annotator weighing the same; NaN without any."""
    known = errors[np.isfinite(errors)]
    return float(known.mean()) if len(known) else float("nan")
