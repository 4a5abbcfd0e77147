"""All metrics of one set of predictions in one table row."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dcpc.data.annotations import Scale
from dcpc.data.counts import soft_labels
from dcpc.evaluation import distribution
from dcpc.evaluation.calibration import brier, expected_calibration_error
from dcpc.evaluation.inputs import check_codes, check_counts, check_probabilities
from dcpc.evaluation.majority import majority_scores
from dcpc.evaluation.ordinal import wasserstein


def evaluate_distribution(
    probabilities: ArrayLike,
    counts: ArrayLike,
    scale: Scale,
    predicted: ArrayLike | None = None,
) -> dict[str, float]:
    """Every metric of a predicted label distribution against all judgements of the items.

    Args:
        probabilities: predicted distribution per item, float [I, C].
        counts: judgements per item and label, [I, C]; every item has at least one.
        scale: the label scale; `ordinal` adds the Wasserstein distance.
        predicted: one label position per item, int [I], where the decision is not the most probable label
            (see `dcpc.evaluation.decision`).

    Returns:
        Name to value. Higher is better: `macro_f1`, `accuracy` (against the majority), `soft_micro_f1`. Lower
        is better: `cross_entropy` (nats), `jensen_shannon` (bits), `manhattan`, `ece`, `brier`, and for
        ordinal scales `wasserstein` (label steps). Counts: `items` (all), `ties` (items without a majority,
        left out of the first two).

    Raises:
        UsageError: shapes do not fit together, or a row is no distribution.
        DataError: no items, or an item without a judgement.
    """
    p = check_probabilities(probabilities)  # [I, C]
    votes = check_counts(counts, p.shape)  # [I, C]
    q = soft_labels(votes)  # [I, C]
    guess = p.argmax(axis=1) if predicted is None else check_codes(predicted, len(p), p.shape[1], "predicted")
    majority = majority_scores(guess, votes)
    values = {
        "macro_f1": majority.macro_f1,
        "accuracy": majority.accuracy,
        "cross_entropy": float(np.mean(distribution.cross_entropy(p, q))),
        "jensen_shannon": float(np.mean(distribution.jensen_shannon(p, q))),
        "manhattan": float(np.mean(distribution.manhattan(p, q))),
        "soft_micro_f1": float(np.mean(distribution.soft_micro_f1(p, q))),
        "ece": expected_calibration_error(p, q),
        "brier": float(np.mean(brier(p, q))),
    }
    if scale == "ordinal":
        values["wasserstein"] = float(np.mean(wasserstein(p, q)))
    return values | {"items": float(len(p)), "ties": float(majority.ties)}
