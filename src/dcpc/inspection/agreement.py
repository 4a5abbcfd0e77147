"""Sizes, agreement and entropy: what needs no annotator ids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dcpc.data.annotations import Annotations
from dcpc.data.counts import pairwise_agreement
from dcpc.inspection.judgements import label_scores

_ROWS_AT_ONCE = 4_000_000
"""Cells of a bootstrap block: bounds its memory to some tens of megabytes."""

FEWEST_FOR_INTERVAL = 5
"""Items with several judgements below which a bootstrap interval would claim what it cannot know."""


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
    per_item = annotations.counts.sum(axis=1).round().astype(int)
    per_annotator, repeated = None, 0
    n_annotators = len(annotations.annotators)
    if n_annotators:
        named = annotations.annotator_codes >= 0
        keys = (
            annotations.item_codes[named].astype(np.int64) * n_annotators + annotations.annotator_codes[named]
        )
        distinct = np.unique(keys)
        repeated = int(named.sum()) - len(distinct)
        per_annotator = spread(np.bincount(distinct % n_annotators, minlength=n_annotators))
    return Overlap(
        judgements=annotations.n_judgements if annotations.weights is None else annotations.n_items,
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


@dataclass(frozen=True)
class Agreement:
    """How much annotators agree; None where no item has two judgements.

    Attributes:
        alpha: Krippendorff's alpha; 1 perfect, 0 chance.
        alpha_low, alpha_high: 95 % percentile interval, bootstrap over items; None with fewer than
            `FEWEST_FOR_INTERVAL` items, and where every sample gives the same, which says nothing.
        metric: the distance of alpha, `nominal` or `ordinal`.
        pairwise: mean over items of the share of its judgement pairs with the same label.
        items: items with at least two judgements, all that these figures can use.
    """

    alpha: float | None
    alpha_low: float | None
    alpha_high: float | None
    metric: str
    pairwise: float | None
    items: int


def measure_agreement(annotations: Annotations, *, replicates: int = 1000, seed: int = 0) -> Agreement:
    """Alpha with its interval and pairwise agreement; ordinal distance for ordinal labels, else nominal."""
    ordinal = annotations.scale == "ordinal"
    counts = annotations.counts[annotations.counts.sum(axis=1) >= 2]
    alpha, low, high = None, None, None
    if len(counts):
        alpha = _finite(krippendorff_alpha(counts, ordinal=ordinal))
        samples = bootstrap_alpha(counts, ordinal=ordinal, replicates=replicates, seed=seed)
        samples = samples[np.isfinite(samples)]
        if alpha is not None and len(counts) >= FEWEST_FOR_INTERVAL and len(samples):
            low, high = (float(q) for q in np.quantile(samples, [0.025, 0.975]))
            low, high = (low, high) if high - low > 1e-9 else (None, None)
    return Agreement(
        alpha=alpha,
        alpha_low=low,
        alpha_high=high,
        metric="ordinal" if ordinal else "nominal",
        pairwise=pairwise_agreement(counts),
        items=len(counts),
    )


def krippendorff_alpha(counts: np.ndarray, *, ordinal: bool) -> float:
    """Krippendorff's alpha, 1 − D_o / D_e; NaN where only one label was ever used or nothing can be paired.

    D_o = 1/n Σ_u 2 (m_u Σ_c n_uc ‖φ_c‖² − ‖Σ_c n_uc φ_c‖²) / (m_u − 1) is the observed disagreement over ordered
    pairs inside items, D_e the same over all n judgements with n − 1 in the denominator. Equal to the
    coincidence-matrix form (Krippendorff 2019, *Content Analysis*, ch. 12), in O(I·C) instead of O(I·C²).

    Args:
        counts: how often each item got each label, [I, C]; items with fewer than two judgements are ignored.
        ordinal: the ordinal distance instead of the nominal one.
    """
    counts = counts[counts.sum(axis=1) >= 2].astype(float)
    return float(_weighted_alpha(counts, np.ones((1, len(counts))), ordinal=ordinal)[0])


def bootstrap_alpha(
    counts: np.ndarray, *, ordinal: bool, replicates: int = 1000, seed: int = 0
) -> np.ndarray:
    """Alpha of `replicates` samples of the items with replacement, [replicates].

    Items with the same counts are drawn together: a multinomial over the distinct rows is the same distribution.
    """
    counts = counts[counts.sum(axis=1) >= 2]
    n_items = len(counts)
    if n_items == 0:
        return np.full(replicates, np.nan)
    patterns, times = np.unique(counts, axis=0, return_counts=True)
    patterns = patterns.astype(float)
    rng = np.random.default_rng(seed)
    block = max(1, _ROWS_AT_ONCE // len(patterns))
    alphas = []
    for start in range(0, replicates, block):
        size = min(block, replicates - start)
        weights = rng.multinomial(n_items, times / n_items, size=size)
        alphas.append(_weighted_alpha(patterns, weights.astype(float), ordinal=ordinal))
    return np.concatenate(alphas)


def _weighted_alpha(counts: np.ndarray, weights: np.ndarray, *, ordinal: bool) -> np.ndarray:
    """Alpha per row of item weights; counts [I, C], weights [R, I] -> [R]."""
    sizes = counts.sum(axis=1)  # [I]
    totals = weights @ counts  # [R, C]
    n = totals.sum(axis=1)  # [R]
    if ordinal:
        ranks = np.stack([label_scores(row, ordinal=True)[:, 0] for row in totals])  # [R, C]
        squares, sums = counts @ (ranks**2).T, counts @ ranks.T  # [I, R]
        inside = 2 * (sizes[:, None] * squares - sums**2) / (sizes - 1)[:, None]  # [I, R]
        observed = np.einsum("ri,ir->r", weights, inside)
        expected = 2 * (n * (totals * ranks**2).sum(axis=1) - (totals * ranks).sum(axis=1) ** 2)
    else:
        observed = weights @ ((sizes**2 - (counts**2).sum(axis=1)) / (sizes - 1))
        expected = n**2 - (totals**2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - observed * (n - 1) / expected


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


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
    # Shares say how divided an item is, whoever and how many judged it.
    per_item = label_entropy(annotations.counts if annotations.weights is None else 2 * annotations.counts)
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
