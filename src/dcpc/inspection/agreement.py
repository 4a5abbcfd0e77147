"""Agreement of all annotators together: Krippendorff's alpha and pairwise agreement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dcpc.data.annotations import Annotations
from dcpc.data.counts import pairwise_agreement
from dcpc.inspection.distance import label_scores, pairable_counts

_ROWS_AT_ONCE = 4_000_000
"""Cells of a bootstrap block: bounds its memory to some tens of megabytes."""


@dataclass(frozen=True)
class Agreement:
    """How much annotators agree; None where no item has two judgements.

    Attributes:
        alpha: Krippendorff's alpha; 1 perfect, 0 chance.
        alpha_low, alpha_high: 95 % percentile interval, bootstrap over items.
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
    counts = pairable_counts(annotations)
    alpha, low, high = None, None, None
    if len(counts):
        alpha = _finite(krippendorff_alpha(counts, ordinal=ordinal))
        samples = bootstrap_alpha(counts, ordinal=ordinal, replicates=replicates, seed=seed)
        samples = samples[np.isfinite(samples)]
        if alpha is not None and len(samples):
            low, high = (float(q) for q in np.quantile(samples, [0.025, 0.975]))
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
    """Alpha of `replicates` samples of the items with replacement, [replicates]."""
    counts = counts[counts.sum(axis=1) >= 2].astype(float)
    n_items = len(counts)
    if n_items == 0:
        return np.full(replicates, np.nan)
    rng = np.random.default_rng(seed)
    block = max(1, _ROWS_AT_ONCE // n_items)
    alphas = []
    for start in range(0, replicates, block):
        weights = rng.multinomial(n_items, np.full(n_items, 1 / n_items), size=min(block, replicates - start))
        alphas.append(_weighted_alpha(counts, weights.astype(float), ordinal=ordinal))
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
