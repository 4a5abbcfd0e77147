"""How much of the disagreement comes back with the annotator (preference), and how much does not (noise)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from dcpc.data.annotations import Annotations
from dcpc.inspection.affinity import once_per_item, shuffled_within_items
from dcpc.inspection.distance import incidence, judgement_scores, judgements_of_known_annotators

MODEL = (
    "label score = item (fixed) + annotator (random) + residual (random); variances by Henderson's method 3 "
    "(moments of the item-centred scores)"
)


@dataclass(frozen=True)
class Decomposition:
    """Shares of the variance of labels inside items.

    Attributes:
        preference: share of the annotators' own, constant leanings, 0 to 1; None where it cannot be told.
        low, high: 95 % interval, jackknife over 20 groups of items.
        chance: the largest share that 95 % of the shuffles inside items stay below; a share under it is not
            distinguishable from none.
        reason: why it cannot be told, where it cannot.
    """

    preference: float | None
    low: float | None
    high: float | None
    chance: float | None
    reason: str = ""
    model: str = MODEL


def decompose(
    annotations: Annotations, *, shuffles: int = 39, blocks: int = 20, seed: int = 0
) -> Decomposition:
    """The share of within-item variance that is each annotator's own leaning.

    Assumption: a preference is a leaning that an annotator shows on all items alike. Tastes about some items only
    count as noise here, and so do slips; only asking the same person twice could tell these two apart.
    """
    data = judgements_of_known_annotators(annotations)
    if not data.n_judgements:
        return Decomposition(None, None, None, None, "no item was judged by two named annotators")
    data = once_per_item(data)
    items, annotators, scores = data.item_codes, data.annotator_codes, judgement_scores(data)
    share = preference_share(items, annotators, scores)
    if share is None:
        return Decomposition(
            None,
            None,
            None,
            None,
            "annotators judged too few items each, or never differed, to show a leaning",
        )
    rng = np.random.default_rng(seed)
    null = [
        preference_share(items, annotators, scores[shuffled_within_items(items, rng)]) or 0.0
        for _ in range(shuffles)
    ]
    block_of_item = rng.integers(0, blocks, size=data.n_items)
    replicates = []
    for block in range(blocks):
        rows = np.flatnonzero(block_of_item[items] != block)
        value = preference_share(items[rows], annotators[rows], scores[rows])
        if value is not None:
            replicates.append(value)
    n = max(len(replicates), 1)
    error = float(np.sqrt((n - 1) / n * np.sum((np.array(replicates) - np.mean(replicates)) ** 2)))
    return Decomposition(
        preference=share,
        low=max(share - 1.96 * error, 0.0),
        high=min(share + 1.96 * error, 1.0),
        chance=float(np.quantile(null, 0.95)),
    )


def preference_share(items: np.ndarray, annotators: np.ndarray, scores: sparse.csr_matrix) -> float | None:
    """σ²_annotator / (σ²_annotator + σ²_residual) of the model in `MODEL`, clipped to [0, 1]; None if not determined.

    With Z the incidence of annotators, M the centring inside items and Y the scores, the two moments
    tr(YᵀMY) = σ²_a tr(ZᵀMZ) + σ²_e (J − I) and ‖ZᵀMY‖² = σ²_a ‖ZᵀMZ‖² + σ²_e tr(ZᵀMZ) are solved for the two
    variances (Searle, Casella and McCulloch 1992, *Variance Components*, ch. 5).

    Args:
        items, annotators: positions, of each judgement, int [J].
        scores: φ of each judgement's label, sparse [J, D].
    """
    _, items = np.unique(items, return_inverse=True)
    _, annotators = np.unique(annotators, return_inverse=True)
    n, n_items, n_annotators = len(items), items.max() + 1, annotators.max() + 1
    z = incidence(np.arange(n), n, annotators, n_annotators)  # [J, A]
    x = incidence(np.arange(n), n, items, n_items)  # [J, I]
    inverse_sizes = sparse.diags(1 / np.bincount(items))
    zx, sums = z.T @ x, x.T @ scores  # [A, I], [I, D]
    zmz = z.T @ z - zx @ inverse_sizes @ zx.T  # [A, A]
    zmy = z.T @ scores - zx @ inverse_sizes @ sums  # [A, D]
    total = scores.multiply(scores).sum() - (inverse_sizes @ sums.multiply(sums)).sum()
    trace, square = zmz.diagonal().sum(), zmz.multiply(zmz).sum()
    system = np.array([[trace, n - n_items], [square, trace]])
    if abs(np.linalg.det(system)) < 1e-6 * trace**2 or total <= 1e-9:
        return None
    between, residual = np.linalg.solve(system, [total, zmy.multiply(zmy).sum()])
    if between + residual <= 0:
        return None
    return float(np.clip(between / (between + residual), 0, 1))
