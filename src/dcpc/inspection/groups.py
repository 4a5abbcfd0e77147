"""Groups of annotators who agree among themselves, found without being told, and tested against chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans

from dcpc.data.annotations import Annotations
from dcpc.inspection.affinity import (
    Affinity,
    contrast,
    dense_scores,
    once_per_item,
    pair_affinity,
    shuffled_within_items,
    standardised_residuals,
)
from dcpc.inspection.distance import judgements_of_known_annotators

MOST_ANNOTATORS = 1500
"""Annotators that are clustered: those with the most judgements (the dense affinity matrix is A × A)."""

_SAME_POINT = 6
"""Decimals to which annotators' places are told apart."""


@dataclass(frozen=True)
class Groups:
    """Clusters of annotators; `members` is empty where nothing beyond chance was found.

    Attributes:
        members: the annotators of each group, the largest group first.
        contrast: agreement inside groups less between groups, in standardised units, see `Affinity`.
        chance: the mean of that contrast when annotators are interchangeable inside items and are clustered alike.
        p_value: share of such shuffles, plus one, that reach the contrast found.
        clustered: how many annotators took part.
        reason: why there are no groups, where there are none.
    """

    members: tuple[tuple[str, ...], ...]
    contrast: float | None
    chance: float | None
    p_value: float | None
    clustered: int
    reason: str = ""


def find_groups(
    annotations: Annotations, *, most_groups: int = 5, shuffles: int = 99, seed: int = 0
) -> Groups:
    """Spectral clustering of annotators on excess agreement; the number of groups is the furthest beyond chance.

    Excess agreement is the residual correlation of `pair_affinity`. The leading k − 1 eigenvectors of its matrix
    place each annotator; k-means splits them into k = 2 … groups. The null shuffles labels inside items and
    clusters again, so that the optimism of clustering is in the null too (gap statistic, Tibshirani et al. 2001).
    Kept is the k whose contrast lies the most standard deviations above the null's mean; its p-value uses the
    largest such deviation of each shuffle, which pays for having looked at several k.
    """
    data = _most_active(judgements_of_known_annotators(annotations))
    n_annotators = len(data.annotators)
    if n_annotators < 4:
        return Groups((), None, None, None, n_annotators, "fewer than four annotators share items")
    items, annotators, scores = data.item_codes, data.annotator_codes, dense_scores(data)
    sizes = range(2, min(most_groups, n_annotators - 1) + 1)
    rng = np.random.default_rng(seed)
    found = _cluster(items, annotators, scores, n_annotators, sizes)
    rounds = shuffles if n_annotators <= 300 else max(39, shuffles // 3)
    null = np.array(
        [
            [c for c, _ in _cluster(items, annotators, scores[order], n_annotators, sizes)]
            for order in (shuffled_within_items(items, rng) for _ in range(rounds))
        ]
    )  # [rounds, sizes]
    mean, deviation = null.mean(axis=0), np.maximum(null.std(axis=0), 1e-9)
    z = (np.array([c for c, _ in found]) - mean) / deviation
    best = int(z.argmax())
    p_value = float((1 + (((null - mean) / deviation).max(axis=1) >= z[best]).sum()) / (1 + rounds))
    strength, codes = found[best]
    if p_value >= 0.05:
        reason = "no split of the annotators agrees among itself more than shuffled labels do"
        return Groups((), strength, float(mean[best]), p_value, n_annotators, reason)
    members = [tuple(str(a) for a in data.annotators[codes == g]) for g in range(codes.max() + 1)]
    members.sort(key=lambda group: (-len(group), group))
    return Groups(tuple(members), strength, float(mean[best]), p_value, n_annotators)


def annotator_affinity(annotations: Annotations) -> Affinity:
    """Excess agreement of all annotator pairs of annotations with annotators and shared items."""
    items, annotators = annotations.item_codes, annotations.annotator_codes
    n_annotators = len(annotations.annotators)
    residuals = standardised_residuals(items, annotators, dense_scores(annotations), n_annotators)
    return pair_affinity(items, annotators, residuals, n_annotators)


def _most_active(annotations: Annotations) -> Annotations:
    data = once_per_item(annotations) if annotations.n_judgements else annotations
    if len(data.annotators) > MOST_ANNOTATORS:
        keep = data.table["annotator_id"].value_counts().index[:MOST_ANNOTATORS]
        data = judgements_of_known_annotators(data.where(data.table["annotator_id"].isin(keep).to_numpy()))
    return data


def _cluster(
    items: np.ndarray, annotators: np.ndarray, scores: np.ndarray, n_annotators: int, sizes: range
) -> list[tuple[float, np.ndarray]]:
    """For each number of groups the contrast and the group of each annotator, int [A]."""
    residuals = standardised_residuals(items, annotators, scores, n_annotators)
    affinity = pair_affinity(items, annotators, residuals, n_annotators)
    vectors = _leading_eigenvectors(affinity.matrix(), sizes[-1] - 1)  # [A, k − 1], strongest first
    clusters = []
    for k in sizes:
        points = vectors[:, : k - 1]
        distinct = len(
            np.unique(points.round(_SAME_POINT), axis=0)
        )  # k-means finds no more clusters than these
        codes = KMeans(min(k, distinct), n_init=2, random_state=0).fit_predict(points)
        clusters.append((contrast(affinity, codes), codes))
    return clusters


def _leading_eigenvectors(matrix: np.ndarray, count: int) -> np.ndarray:
    from scipy.linalg import eigh

    n = len(matrix)
    values, vectors = eigh(matrix, subset_by_index=[n - count, n - 1])
    return (vectors * np.sqrt(np.maximum(values, 0)))[:, ::-1]
