"""Simulated judgements of strict and lenient annotators on items with features."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dcpc.data.annotations import Annotations
from dcpc.regression.logistic import Judged

H, ITEMS, A = 6, 300, 8


def simulated(effect: float, seed: int = 0) -> tuple[np.ndarray, Annotations, np.ndarray]:
    """Features [I, H], one judgement per item by lenient and strict annotators, and the true share of label 1."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(ITEMS, H))
    slope = features @ rng.normal(size=H)
    threshold = np.where(np.arange(A) % 2, effect, -effect)
    annotators = rng.integers(A, size=ITEMS)
    p = 1 / (1 + np.exp(-(slope + threshold[annotators])))
    labels = (rng.random(ITEMS) < p).astype(int)
    table = pd.DataFrame(
        {
            "item_id": [f"i{i}" for i in range(ITEMS)],
            "text": "t",
            "annotator_id": [f"a{a}" for a in annotators],
            "label": labels.astype(str),
        }
    )
    truth = np.mean([1 / (1 + np.exp(-(slope + t))) for t in threshold], axis=0)
    return features, Annotations(table, labels=("0", "1")), truth


def judged(features: np.ndarray, annotations: Annotations) -> Judged:
    codes = (annotations.item_codes, annotations.label_codes, annotations.annotator_codes)
    return Judged(features, *codes, n_annotators=A, n_classes=2)
