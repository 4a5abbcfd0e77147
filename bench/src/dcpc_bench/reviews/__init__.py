"""Generated reviews whose sentiment strength is known: a data set that needs no file, for demo and tests."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dcpc.data.annotations import Annotations
from dcpc_bench.reviews.grammar import generate_reviews
from dcpc_bench.shifts import CleanItems, simulate
from dcpc_bench.shifts.thresholds import ThresholdPool

LABELS = ("negative", "positive")
ANNOTATORS = 12
ITEMS = 1200


def review_items(count: int = ITEMS, seed: int = 0) -> CleanItems:
    """Reviews with their clean label, the sign of their strength; the strength is the latent score."""
    reviews = generate_reviews(count, seed)
    order = np.random.default_rng(seed).permutation(count)
    strength = np.array([reviews[i].strength for i in order])
    table = pd.DataFrame(
        {"item_id": [f"review{i:04d}" for i in range(count)], "text": [reviews[i].text for i in order]}
    )
    return CleanItems(table, (strength > 0).astype(np.int64), LABELS, scores=strength)


def judged_reviews(items: CleanItems, source: str) -> Annotations:
    """Three judgements of each review, by twelve annotators who are strict or lenient."""
    judged, _ = simulate(items, ThresholdPool(), n_annotators=ANNOTATORS, labels_per_item=3, seed=0)
    return Annotations(judged.table.drop(columns="clean_label"), LABELS, "nominal", source)
