"""Who agrees with whom: groups of annotators, found without being told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
from scipy.sparse.linalg import ArpackNoConvergence, eigsh
from sklearn.cluster import KMeans

from dcpc.inspection.judgements import Judgements, shuffled_within_items

MOST_RECORDS = 2_000_000
"""Pairs of judgements of one item that are compared: of more, the most active annotators' are taken."""

FEWEST_SAMPLED = 300
"""Annotators that are kept by that rule; if these are still too many pairs, items are drawn at random."""

FEWEST_ITEMS = 5
"""Items that annotators have to share before groups are looked for."""

SHRINKAGE = 5.0
"""Common items without excess agreement that every pair is given: little overlap stays near zero."""

MAX_SCORE_COLUMNS = 30
"""Label scores kept for comparing annotators: of more classes the most used ones carry the comparison."""

_DENSE = 300
"""Annotators up to which eigenvectors are computed from the dense matrix."""

_SAME_POINT = 6
"""Decimals to which annotators' places are told apart."""


@dataclass(frozen=True)
class Pairs:
    """The R pairs of judgements of one item, and the P pairs of annotators a < b that they belong to.

    Attributes:
        judgements: what was sampled of all judgements.
        kept: positions of the sampled annotators among all A, int [A']; `judgements` counts within these.
        left, right: the two judgements of each record, int [R].
        pair: the annotator pair of each record, int [R].
        first, second: the annotators of each pair, int [P].
        overlap: items that both judged, [P].
        phi: score of every label, at most `MAX_SCORE_COLUMNS` columns, the most used labels', [C, D].
        means: mean score of every item, [I', D]; the same however labels are shuffled inside items.
    """

    judgements: Judgements
    kept: np.ndarray
    left: np.ndarray
    right: np.ndarray
    pair: np.ndarray
    first: np.ndarray
    second: np.ndarray
    overlap: np.ndarray
    phi: np.ndarray
    means: np.ndarray

    def excess(self, labels: np.ndarray) -> np.ndarray:
        """Agreement of each annotator pair beyond what their items give anyone, [P], if `labels` [J'] were given.

        Summed over common items: the product of the two standardised residuals less its mean over all pairs of
        the item. On average zero if annotators are interchangeable inside items.
        """
        items, residuals = self.judgements.items, self._residuals(labels)  # [J'], [J', D]
        sizes = self.judgements.sizes
        squares = np.bincount(items, weights=(residuals**2).sum(axis=1), minlength=len(sizes))
        sums = sum(np.bincount(items, weights=column, minlength=len(sizes)) ** 2 for column in residuals.T)
        item_mean = (sums - squares) / np.maximum(sizes * (sizes - 1), 1)  # [I']
        products = np.einsum("rd,rd->r", residuals[self.left], residuals[self.right])
        return np.bincount(
            self.pair, weights=products - item_mean[items[self.left]], minlength=len(self.first)
        )

    def _residuals(self, labels: np.ndarray) -> np.ndarray:
        """Label scores less their item's mean, over the annotator's spread, [J', D].

        The spread of an annotator is shrunk to that of all (`SHRINKAGE` judgements), so that someone who hardly
        ever departs from the others is not blown up. What is left is how, not how often, one departs.
        """
        data = self.judgements
        residuals = self.phi[labels] - self.means[data.items]
        squares = (residuals**2).sum(axis=1)
        overall = max(squares.mean(), 1e-12)
        per_annotator = np.bincount(data.annotators, weights=squares, minlength=data.n_annotators)
        judged = np.bincount(data.annotators, minlength=data.n_annotators)
        spread = np.sqrt((per_annotator + SHRINKAGE * overall) / (judged + SHRINKAGE))
        return residuals / spread[data.annotators][:, None]


def sampled_pairs(judgements: Judgements, part: np.ndarray, seed: int = 0) -> Pairs:
    """All pairs of judgements of one item, of as many annotators as keep them below `MOST_RECORDS`.

    Args:
        judgements: see `shared_judgements`.
        part: see `connected_parts`; only the largest part is taken, as others cannot be compared with it.
        seed: of the items drawn, where even few annotators have too many.
    """
    judgements = _part(judgements, part == 0)
    activity = np.bincount(judgements.annotators, minlength=judgements.n_annotators)
    ranked = np.argsort(-activity, kind="stable")[: int((activity > 0).sum())]
    rank = np.full(judgements.n_annotators, len(ranked))
    rank[ranked] = np.arange(len(ranked))
    low, high = min(FEWEST_SAMPLED, len(ranked)), len(ranked)
    while low < high:  # the largest number of annotators whose pairs fit
        middle = (low + high + 1) // 2
        low, high = (
            (middle, high) if _records(judgements, rank < middle) <= MOST_RECORDS else (low, middle - 1)
        )
    kept = np.sort(ranked[:low])
    data = _part(judgements, np.isin(judgements.annotators, kept))
    if (data.sizes * (data.sizes - 1) // 2).sum() > MOST_RECORDS:
        order = np.random.default_rng(seed).permutation(data.n_items)
        fits = np.cumsum((data.sizes * (data.sizes - 1) // 2)[order]) <= MOST_RECORDS
        data = _part(data, np.isin(data.items, order[: max(int(fits.sum()), 1)]))
    kept = np.unique(data.annotators)
    data = replace(data, annotators=np.searchsorted(kept, data.annotators), n_annotators=len(kept))
    left, right = _records_of(data)
    keys = data.annotators[left].astype(np.int64) * len(kept) + data.annotators[right]
    found, pair, overlap = np.unique(keys, return_inverse=True, return_counts=True)
    phi = data.scores()
    if phi.shape[1] > MAX_SCORE_COLUMNS:
        used = np.bincount(data.labels, minlength=data.n_classes)
        phi = phi[:, np.sort(np.argsort(-used, kind="stable")[:MAX_SCORE_COLUMNS])]
    return Pairs(
        judgements=data,
        kept=kept,
        left=left,
        right=right,
        pair=pair,
        first=found // max(len(kept), 1),
        second=found % max(len(kept), 1),
        overlap=overlap,
        phi=phi,
        means=(data.counts() @ phi) / np.maximum(data.sizes, 1)[:, None],
    )


def _records(judgements: Judgements, wanted: np.ndarray) -> int:
    sizes = np.bincount(judgements.items[wanted[judgements.annotators]], minlength=judgements.n_items)
    return int((sizes.astype(np.int64) * (sizes - 1) // 2).sum())


def _part(data: Judgements, rows: np.ndarray) -> Judgements:
    """The judgements in a mask [J'], of items that keep two of them, items numbered anew."""
    sizes = np.bincount(data.items[rows], minlength=data.n_items)
    rows = np.flatnonzero(rows & (sizes >= 2)[data.items])
    return replace(
        data,
        rows=data.rows[rows],
        items=(np.cumsum(sizes >= 2) - 1)[data.items[rows]],
        annotators=data.annotators[rows],
        labels=data.labels[rows],
        n_items=int((sizes >= 2).sum()),
    )


def _records_of(data: Judgements) -> tuple[np.ndarray, np.ndarray]:
    """The judgements of every record; those of an item stand together, the lower annotator first."""
    starts = np.searchsorted(data.items, np.arange(data.n_items))
    sizes = data.sizes
    left, right = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for size in np.unique(sizes):
        begin = starts[sizes == size][:, None]
        low, high = np.triu_indices(size, k=1)
        left.append((begin + low).ravel())
        right.append((begin + high).ravel())
    return np.concatenate(left), np.concatenate(right)


def contrast(pairs: Pairs, excess: np.ndarray, groups: np.ndarray) -> float:
    """Mean excess per common item inside groups less that between groups; 0 where one of them is empty.

    Args:
        pairs: the pairs.
        excess: of every annotator pair, [P].
        groups: the group of each annotator, int [A']; −1 leaves an annotator out.
    """
    first, second, overlap = groups[pairs.first], groups[pairs.second], pairs.overlap
    if groups.min(initial=0) < 0:
        known = (first >= 0) & (second >= 0)
        first, second, excess, overlap = first[known], second[known], excess[known], overlap[known]
    same = first == second
    apart, inside = np.bincount(same, weights=excess, minlength=2)
    apart_items, inside_items = np.bincount(same, weights=overlap, minlength=2)
    if not apart_items or not inside_items:
        return 0.0
    return float(inside / inside_items - apart / apart_items)


@dataclass(frozen=True)
class Groups:
    """Clusters of annotators; `members` is empty where nothing beyond chance was found.

    Attributes:
        members: the annotators of each group, the largest group first.
        contrast: agreement inside groups less between groups, in standardised units, see `Pairs.excess`.
        chance: the mean of that contrast when annotators are interchangeable inside items and are clustered alike.
        p_value: how often shuffled labels give as clear groups, over all numbers of groups tried.
        clustered: annotators that were clustered.
        of: annotators that share items with others; these are the most active ones of the largest part that does.
        reason: why no groups are given, where none are.
    """

    members: tuple[tuple[str, ...], ...]
    contrast: float | None
    chance: float | None
    p_value: float | None
    clustered: int
    of: int
    reason: str = ""


def find_groups(
    pairs: Pairs,
    annotators: Sequence[str],
    sharing: int,
    *,
    most_groups: int = 5,
    shuffles: int = 199,
    seed: int = 0,
) -> Groups:
    """Spectral clustering of annotators on their excess agreement, two to `most_groups` groups.

    The number of groups is the one whose contrast stands furthest above that of shuffled labels, in their standard
    deviations; the p-value compares that distance with the largest over all numbers of groups in each shuffle.

    Args:
        pairs: see `sampled_pairs`.
        annotators: all A annotator ids.
        sharing: how many of these share items with others.
        most_groups: groups tried at most.
        shuffles: random orders; a third of them with more than 300 annotators, 39 with more than 1,000.
        seed: of the shuffles.
    """
    data, n_annotators = pairs.judgements, pairs.judgements.n_annotators
    reason = ""
    if n_annotators < 4:
        reason = "fewer than four annotators share items"
    elif data.n_items < FEWEST_ITEMS:
        reason = f"annotators share fewer than {FEWEST_ITEMS} items, too few to tell groups"
    if reason:
        return Groups((), None, None, None, n_annotators, sharing, reason)
    sizes = range(2, min(most_groups, n_annotators - 1) + 1)
    rng = np.random.default_rng(seed)
    found = _cluster(pairs, data.labels, sizes)
    rounds = shuffles if n_annotators <= 300 else max(39, shuffles // 3) if n_annotators <= 1_000 else 39
    null = np.array(
        [
            [c for c, _ in _cluster(pairs, data.labels[shuffled_within_items(data.items, rng)], sizes)]
            for _ in range(rounds)
        ]
    )  # [rounds, sizes]
    mean, deviation = null.mean(axis=0), np.maximum(null.std(axis=0), 1e-9)
    z = (np.array([c for c, _ in found]) - mean) / deviation
    best = int(z.argmax())
    p_value = float((1 + (((null - mean) / deviation).max(axis=1) >= z[best]).sum()) / (1 + rounds))
    strength, codes = found[best]
    if p_value >= 0.05:
        reason = "no split of the annotators agrees among itself more than shuffled labels do"
        return Groups((), strength, float(mean[best]), p_value, n_annotators, sharing, reason)
    members = [
        tuple(str(annotators[a]) for a in pairs.kept[codes == group]) for group in range(codes.max() + 1)
    ]
    members.sort(key=lambda group: (-len(group), group))
    return Groups(tuple(members), strength, float(mean[best]), p_value, n_annotators, sharing)


def _cluster(pairs: Pairs, labels: np.ndarray, sizes: range) -> list[tuple[float, np.ndarray]]:
    """For each number of groups the contrast and the group of each annotator, int [A']."""
    excess = pairs.excess(labels)
    n_annotators = pairs.judgements.n_annotators
    affinity = sparse.coo_matrix(
        (excess / (pairs.overlap + SHRINKAGE), (pairs.first, pairs.second)),
        shape=(n_annotators, n_annotators),
    )
    vectors = _leading_eigenvectors(
        (affinity + affinity.T).tocsr().astype(np.float32), sizes[-1] - 1
    )  # strongest first
    clusters = []
    for k in sizes:
        points = vectors[:, : k - 1]
        distinct = len(np.unique(points.round(_SAME_POINT), axis=0))  # k-means finds no more clusters
        codes = KMeans(min(k, distinct), n_init=2, random_state=0).fit_predict(points)
        clusters.append((contrast(pairs, excess, codes), codes))
    return clusters


def _leading_eigenvectors(matrix: sparse.csr_matrix, count: int) -> np.ndarray:
    """Eigenvectors of the largest eigenvalues, times their root, [A', count].

    With many annotators to 3 %: shuffled labels are treated alike, so that the p-value stays exact.
    """
    from scipy.linalg import eigh

    n = matrix.shape[0]
    if n <= _DENSE:
        values, vectors = eigh(matrix.toarray().astype(np.float64), subset_by_index=[n - count, n - 1])
    else:
        start = np.random.default_rng(0).standard_normal(n, dtype=np.float32)
        try:
            values, vectors = eigsh(matrix, k=count, which="LA", tol=0.03, ncv=24, maxiter=30, v0=start)
        except ArpackNoConvergence as stopped:
            values, vectors = np.real(stopped.eigenvalues), np.real(stopped.eigenvectors)
        missing = count - len(values)
        values, vectors = np.r_[np.zeros(missing), values], np.c_[np.zeros((n, missing)), vectors]
    order = np.argsort(-values)
    return (vectors * np.sqrt(np.maximum(values, 0)))[:, order]


def connected_parts(judgements: Judgements) -> np.ndarray:
    """The part of each judgement, int [J'], the largest is 0: annotators of two parts share no item."""
    items, who, n_annotators = judgements.items, judgements.annotators, judgements.n_annotators
    n = n_annotators + judgements.n_items
    edges = sparse.coo_matrix((np.ones(len(items), dtype=np.int8), (who, n_annotators + items)), shape=(n, n))
    part = csgraph.connected_components(edges, directed=False)[1][who]
    found, codes, sizes = np.unique(part, return_inverse=True, return_counts=True)
    rank = np.empty(len(found), dtype=np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(found))
    return rank[codes] if len(found) else codes
