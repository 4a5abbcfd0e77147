"""Sizes and overlap: how many judgements there are, and how they spread over items and annotators."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dcpc.data.annotations import Annotations


@dataclass(frozen=True)
class Spread:
    """How many of something each one has: smallest, median, mean, largest, and the histogram (value → how many)."""

    low: int
    median: float
    mean: float
    high: int
    histogram: dict[int, int]


@dataclass(frozen=True)
class Overlap:
    """Sizes of the annotations.

    Attributes:
        judgements, items, annotators, classes: J, I, A, C; annotators 0 where they are not named.
        labels_per_item: over the I items.
        items_per_annotator: over the A annotators; None where they are not named.
        single_label_items: items with one judgement, about which agreement can say nothing.
        repeated: judgements by an annotator of an item that they had judged already.
        label_counts: judgements per label, in the order of the label set.
    """

    judgements: int
    items: int
    annotators: int
    classes: int
    labels_per_item: Spread
    items_per_annotator: Spread | None
    single_label_items: int
    repeated: int
    label_counts: dict[str, int]


def measure_overlap(annotations: Annotations) -> Overlap:
    """Count everything that needs no model."""
    per_item = annotations.counts.sum(axis=1)
    per_annotator, repeated = None, 0
    if annotations.has_annotators and len(annotations.annotators):
        pairs = annotations.table[["item_id", "annotator_id"]].dropna()
        repeated = int(pairs.duplicated().sum())
        items_of_annotator = pairs.drop_duplicates()["annotator_id"].value_counts()
        per_annotator = spread(items_of_annotator.to_numpy())
    return Overlap(
        judgements=annotations.n_judgements,
        items=annotations.n_items,
        annotators=len(annotations.annotators),
        classes=annotations.n_classes,
        labels_per_item=spread(per_item),
        items_per_annotator=per_annotator,
        single_label_items=int((per_item == 1).sum()),
        repeated=repeated,
        label_counts=dict(zip(annotations.labels, annotations.counts.sum(axis=0).tolist(), strict=True)),
    )


def spread(values: np.ndarray) -> Spread:
    """Summarise counts, [N] with N > 0."""
    distinct, how_many = np.unique(values, return_counts=True)
    return Spread(
        low=int(values.min()),
        median=float(np.median(values)),
        mean=float(values.mean()),
        high=int(values.max()),
        histogram=dict(zip(distinct.tolist(), how_many.tolist(), strict=True)),
    )
