"""How divided the labels of each item are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dcpc.data.annotations import Annotations


@dataclass(frozen=True)
class Entropy:
    """Entropy of the label distribution per item, over items with at least two judgements.

    Attributes:
        per_item: bits, float [I]; NaN for items with one judgement.
        mean: over items that have a value; None where none has.
        unanimous: the share of these items where all judgements agree.
        highest_possible: log2 of the number of labels.
    """

    per_item: np.ndarray
    mean: float | None
    unanimous: float | None
    highest_possible: float


def measure_entropy(annotations: Annotations) -> Entropy:
    """Entropy of each item's labels and its summary."""
    per_item = label_entropy(annotations.counts)
    known = per_item[np.isfinite(per_item)]
    return Entropy(
        per_item=per_item,
        mean=float(known.mean()) if len(known) else None,
        unanimous=float((known < 1e-9).mean()) if len(known) else None,
        highest_possible=float(np.log2(max(annotations.n_classes, 1))),
    )


def label_entropy(counts: np.ndarray) -> np.ndarray:
    """Plug-in entropy −Σ_c p log2 p of each row of counts [I, C], in bits, [I]; NaN below two judgements.

    The plug-in estimate is too low where an item has few judgements; compare items with equally many.
    """
    sizes = counts.sum(axis=1)
    shares = counts / np.maximum(sizes, 1)[:, None]
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.where(sizes >= 2, np.abs((shares * logs).sum(axis=1)), np.nan)
