"""Who agrees with whom: agreement of every pair of annotators, corrected for how divided their items are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from dcpc.data.annotations import Annotations
from dcpc.inspection.distance import incidence, judgement_scores

SHRINKAGE = 5.0
"""Common items without excess agreement that every pair is given: little overlap stays near zero."""

MAX_SCORE_COLUMNS = 30
"""Label scores kept for comparing annotators: of more classes the most used ones carry the comparison."""


@dataclass(frozen=True)
class Affinity:
    """Agreement of annotator pairs beyond what their items give anyone; P pairs a < b with common items.

    Attributes:
        first, second: positions of the annotators of each pair, int [P].
        overlap: items that both judged, float [P].
        excess: summed over their common items: the product of their standardised residuals less its mean over
            all pairs of the item, float [P]. On average zero if annotators are interchangeable inside items.
        n_annotators: A.
    """

    first: np.ndarray
    second: np.ndarray
    overlap: np.ndarray
    excess: np.ndarray
    n_annotators: int

    def matrix(self) -> np.ndarray:
        """Mean excess of each pair, shrunk to zero by `SHRINKAGE` items, symmetric, [A, A]; diagonal 0."""
        dense = np.zeros((self.n_annotators, self.n_annotators))
        dense[self.first, self.second] = self.excess / (self.overlap + SHRINKAGE)
        return dense + dense.T


def pair_affinity(
    items: np.ndarray, annotators: np.ndarray, residuals: np.ndarray, n_annotators: int
) -> Affinity:
    """Excess agreement of all annotator pairs that share an item, by sparse products instead of a loop.

    Args:
        items, annotators: positions, of each judgement, int [J]; each annotator at most once per item.
        residuals: standardised residual of each judgement, [J, D], see `standardised_residuals`.
        n_annotators: A.
    """
    n_items = int(items.max()) + 1
    shape = (n_annotators, n_items)
    judged = incidence(annotators, n_annotators, items, n_items)  # [A, I]
    products = sparse.csr_matrix((n_annotators, n_annotators))
    for column in residuals.T:
        vector = sparse.csr_matrix((column, (annotators, items)), shape=shape)
        products = products + vector @ vector.T
    sizes = np.bincount(items, minlength=n_items)
    sums = incidence(items, n_items, np.arange(len(items)), len(items)) @ residuals  # [I, D]
    squares = np.bincount(items, weights=(residuals**2).sum(axis=1), minlength=n_items)
    item_mean = ((sums**2).sum(axis=1) - squares) / np.maximum(sizes * (sizes - 1), 1)  # [I]
    baseline = judged.multiply(item_mean[None, :]).tocsr() @ judged.T
    overlap = sparse.triu(judged @ judged.T, k=1).tocoo()
    first, second = overlap.row.astype(np.int64), overlap.col.astype(np.int64)
    excess = np.asarray(sparse.csr_matrix(products - baseline)[first, second]).ravel()
    return Affinity(first, second, overlap.data, excess, n_annotators)


def standardised_residuals(
    items: np.ndarray, annotators: np.ndarray, scores: np.ndarray, n_annotators: int
) -> np.ndarray:
    """Label scores less their item's mean, over the annotator's spread, [J, D].

    The spread of an annotator is shrunk to that of all (`SHRINKAGE` judgements), so that someone who hardly ever
    departs from the others is not blown up. What is left is how, not how often, one departs.
    """
    sizes = np.bincount(items)
    sums = incidence(items, len(sizes), np.arange(len(items)), len(items)) @ scores
    residuals = scores - (sums / np.maximum(sizes, 1)[:, None])[items]
    squares = (residuals**2).sum(axis=1)
    overall = max(squares.mean(), 1e-12)
    per_annotator = np.bincount(annotators, weights=squares, minlength=n_annotators)
    judged = np.bincount(annotators, minlength=n_annotators)
    spread = np.sqrt((per_annotator + SHRINKAGE * overall) / (judged + SHRINKAGE))
    return residuals / spread[annotators][:, None]


def once_per_item(annotations: Annotations) -> Annotations:
    """The first judgement of every annotator on every item."""
    return annotations.where(~annotations.table.duplicated(["item_id", "annotator_id"]).to_numpy())


def dense_scores(annotations: Annotations) -> np.ndarray:
    """φ of every judgement, [J, D], of at most `MAX_SCORE_COLUMNS` columns, the most used labels'."""
    scores = judgement_scores(annotations)
    if scores.shape[1] > MAX_SCORE_COLUMNS:
        used = np.asarray(scores.sum(axis=0)).ravel()
        scores = scores[:, np.sort(np.argsort(-used)[:MAX_SCORE_COLUMNS])]
    return scores.toarray()


def shuffled_within_items(items: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random order of the judgements that only swaps judgements of the same item, int [J].

    Giving judgement j the label of judgement order[j] is the null in which annotators are interchangeable: every
    item keeps its labels.
    """
    by_item = np.argsort(items, kind="stable")
    order = np.empty(len(items), dtype=np.int64)
    order[by_item] = np.lexsort((rng.random(len(items)), items))
    return order


def contrast(affinity: Affinity, groups: np.ndarray) -> float:
    """Mean excess per common item inside groups less that between groups; 0 where one of them is empty.

    Args:
        groups: the group of each annotator, int [A]; −1 leaves an annotator out.
    """
    first, second = groups[affinity.first], groups[affinity.second]
    known = (first >= 0) & (second >= 0)
    same, apart = known & (first == second), known & (first != second)
    if not same.any() or not apart.any():
        return 0.0
    inside = affinity.excess[same].sum() / affinity.overlap[same].sum()
    return float(inside - affinity.excess[apart].sum() / affinity.overlap[apart].sum())
