"""How each annotator departs from the other annotators of the same items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dcpc.data.annotations import Annotations
from dcpc.data.counts import one_hot
from dcpc.inspection.distance import judgements_of_known_annotators

_MOST_CONFUSION_CELLS = 2_000_000

_VARIANCE_WEIGHT = 10.0
"""Judgements that the pooled variance counts for."""


@dataclass(frozen=True)
class AnnotatorBias:
    """One annotator against the consensus of the others on the same items.

    Attributes:
        annotator: the id.
        judgements: judgements of items that someone else judged too.
        agreement: mean share of the others who gave the same label.
        leaning: the label whose use exceeds the others' the most.
        excess: by how much, as a share of the annotator's judgements.
        z: that excess over its standard error if the annotator were like the others; the variance of few
            judgements is shrunk to that of all annotators.
        leniency: ordinal labels only: mean own position less that of the others, in steps (their threshold).
        extremity: ordinal labels only: spread of own positions over that of the others' positions on the same
            items (their scale); above 1 uses the ends more.
        confusion: rows the others' label (soft), columns the own label, [C, C]; None with very many classes.
    """

    annotator: str
    judgements: int
    agreement: float
    leaning: str
    excess: float
    z: float
    leniency: float | None
    extremity: float | None
    confusion: np.ndarray | None


def measure_bias(annotations: Annotations) -> list[AnnotatorBias]:
    """The bias of every annotator who shares items with others; most judgements first."""
    data = judgements_of_known_annotators(annotations)
    if not data.n_judgements:
        return []
    others = others_consensus(data)  # [J, C]
    labels, n_classes = data.label_codes, data.n_classes
    keep_confusion = len(data.annotators) * n_classes**2 <= _MOST_CONFUSION_CELLS
    variance = _null_variance(others, labels)
    order = np.argsort(data.annotator_codes, kind="stable")
    bounds = np.searchsorted(data.annotator_codes[order], np.arange(len(data.annotators) + 1))
    result = []
    for position, annotator in enumerate(data.annotators):
        rows = order[bounds[position] : bounds[position + 1]]
        own = one_hot(labels[rows], n_classes)
        result.append(
            _bias_of_one(str(annotator), own, others[rows], data, variance, keep_confusion=keep_confusion)
        )
    return sorted(result, key=lambda bias: (-bias.judgements, bias.annotator))


def others_consensus(annotations: Annotations) -> np.ndarray:
    """The label distribution of the other judgements of the same item, for each judgement, [J, C]."""
    counts = annotations.counts[annotations.item_codes].astype(np.float32)
    counts[np.arange(len(counts)), annotations.label_codes] -= 1
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def _null_variance(others: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean square of own label less the others' share, over all judgements, [C]."""
    rows = np.arange(len(labels))
    own = np.bincount(labels, weights=1 - 2 * others[rows, labels], minlength=others.shape[1])
    return ((others**2).sum(axis=0) + own) / len(labels)


def _bias_of_one(
    annotator: str,
    own: np.ndarray,
    others: np.ndarray,
    data: Annotations,
    variance: np.ndarray,
    *,
    keep_confusion: bool,
) -> AnnotatorBias:
    difference = own - others  # [n, C]
    excess = difference.mean(axis=0)
    top = int(excess.argmax())
    # Two or three judgements that all differ have no spread of their own: shrink to everyone's.
    square = (difference[:, top] ** 2).sum() + _VARIANCE_WEIGHT * variance[top]
    error = np.sqrt(square / (len(own) + _VARIANCE_WEIGHT) / len(own))
    leniency, extremity = None, None
    if data.scale == "ordinal":
        steps = np.arange(data.n_classes)
        leniency = float((difference @ steps).mean())
        extremity = _spread_ratio(own.mean(axis=0), others.mean(axis=0), steps)
    return AnnotatorBias(
        annotator=annotator,
        judgements=len(own),
        agreement=float((own * others).sum(axis=1).mean()),
        leaning=data.labels[top],
        excess=float(excess[top]),
        z=float(excess[top] / error) if error > 0 else 0.0,
        leniency=leniency,
        extremity=extremity,
        confusion=others.T @ own if keep_confusion else None,
    )


def _spread_ratio(own: np.ndarray, others: np.ndarray, steps: np.ndarray) -> float | None:
    own_sd, others_sd = (np.sqrt(max(p @ steps**2 - (p @ steps) ** 2, 0)) for p in (own, others))
    return float(own_sd / others_sd) if others_sd > 1e-6 else None
