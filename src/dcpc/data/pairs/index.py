"""The k nearest neighbours of every item, at nearly linear cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from dcpc.errors import UsageError
from dcpc.ray_cluster import RayCluster

_EXACT_UP_TO = 4096
_LISTS_PER_ROOT = 2
_TRAINING_POINTS_PER_LIST = 40
_CANDIDATES_PER_NEIGHBOUR = 5
_SAMPLE = 256
_WORTHWHILE = 0.005
"""Recall that twice the lists must bring, or twice the candidates are tried next."""
_BLOCK = 16384
_RANKED_BLOCK = 1024
_BLOCKS_PER_PART = 16
"""Blocks that a process of a cluster searches at a time: 16,384 items."""


@dataclass(frozen=True)
class Neighbours:
    """The nearest neighbours of each of I items, without the item itself.

    Attributes:
        similarity: cosine similarities, float32 [I, k], descending; −1 where there are fewer than k.
        index: positions of the neighbours, int64 [I, k]; −1 where there are fewer than k.
        recall: recall@k against exact search, measured on a random sample of the items; 1.0 if exact.
        probes: inverted lists searched per item; 0 if exact.
        candidates: items per item whose similarity was computed exactly; 0 if exact.
    """

    similarity: np.ndarray
    index: np.ndarray
    recall: float
    probes: int
    candidates: int


def nearest_neighbours(
    embeddings: np.ndarray,
    k: int = 10,
    *,
    min_recall: float = 0.97,
    seed: int = 0,
    progress: bool = False,
    cluster: RayCluster | None = None,
) -> Neighbours:
    """Find the k most similar items of every item.

    Up to 4,096 items exactly. Above that faiss' inverted lists propose candidates: 2√I lists, vectors in 4 bits
    per two dimensions (product quantisation, Jégou et al. 2011; scanned in registers, André et al. 2017); the
    5k best are compared exactly. Lists searched, and candidates where more lists do not help, are doubled until
    a sample of 256 items reaches `min_recall` against exact search. Comparing items with list centres costs
    I^1.5, but so little that the whole stays nearly linear to a million items and beyond.

    Args:
        embeddings: unit-length float32 [I, H].
        k: neighbours per item.
        min_recall: recall@k that the sample has to reach.
        seed: for the sample and the list centres.
        progress: show a progress bar.
        cluster: whose processes search a part of more than 4,096 items each. This one makes the index, which goes to
            every process (about H / 4 bytes an item), and the vectors, of which each machine holds one copy. None:
            this process searches.

    Raises:
        UsageError: if faiss is not installed (extra `pairs`) or k is below 1.
        ClusterError: if processes of the cluster cannot do their part.
    """
    if k < 1:
        raise UsageError(f"{k} neighbours were asked for.", fix="Ask for one or more.")
    faiss = require_faiss()
    vectors = np.ascontiguousarray(embeddings, dtype=np.float32)
    rows = np.arange(len(vectors))
    if len(vectors) <= _EXACT_UP_TO:
        similarity, index = _search(_exact_index(faiss, vectors), vectors, rows, k)
        return Neighbours(similarity, index, 1.0, 0, 0)
    lists = _Lists(_list_index(faiss, vectors, seed), vectors, _CANDIDATES_PER_NEIGHBOUR * k)
    recall = _calibrate(faiss, lists, k, min_recall, seed)
    if cluster is None:
        similarity, index = lists.search(rows, k, progress)
    else:
        similarity, index = _searched_by(cluster, faiss, lists, k, progress)
    return Neighbours(similarity, index, recall, lists.index.nprobe, lists.candidates)


def recall_at_k(found: np.ndarray, truth: np.ndarray) -> float:
    """The share of the true neighbours [Q, k] that are among the found ones [Q, k]."""
    hits = sum(len(np.intersect1d(a, b)) for a, b in zip(found, truth, strict=True))
    return hits / max(1, truth.size)


def exact_neighbours(embeddings: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Similarities [Q, k] and positions [Q, k] of the true nearest neighbours of some rows [Q]."""
    faiss = require_faiss()
    vectors = np.ascontiguousarray(embeddings, dtype=np.float32)
    return _search(_exact_index(faiss, vectors), vectors, rows, k)


def require_faiss() -> Any:
    """The module faiss; UsageError where it is not installed."""
    try:
        import faiss
    except ImportError as error:
        raise UsageError(
            "mining conflict pairs needs faiss.", fix="Install it with: pip install 'dcpc[pairs]'"
        ) from error
    return faiss


def _exact_index(faiss: Any, vectors: np.ndarray) -> Any:
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return index


def _list_index(faiss: Any, vectors: np.ndarray, seed: int) -> Any:
    n_items, width = vectors.shape
    if width % 2:
        raise UsageError(f"embeddings of {width} dimensions: their number must be even.")
    n_lists = int(_LISTS_PER_ROOT * n_items**0.5)
    sample = np.random.default_rng(seed).permutation(n_items)[: n_lists * _TRAINING_POINTS_PER_LIST]
    index = faiss.IndexIVFPQFastScan(
        faiss.IndexFlatIP(width), width, n_lists, width // 2, 4, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.niter, index.cp.seed, index.cp.spherical = 5, seed, True
    index.cp.min_points_per_centroid = 1
    index.train(vectors[np.sort(sample)])
    index.add(vectors)
    return index


@dataclass
class _Lists:
    """An approximate index, and the vectors [I, H] that its candidates are compared by."""

    index: Any
    vectors: np.ndarray
    candidates: int

    def search(self, rows: np.ndarray, k: int, progress: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Similarities and positions [Q, k] of the neighbours of rows [Q], as far as the index proposes them."""
        similarity = np.full((len(rows), k), -1.0, dtype=np.float32)
        neighbour = np.full((len(rows), k), -1, dtype=np.int64)
        bar = tqdm(total=len(rows), desc="neighbours", disable=not progress)
        with bar:
            for start in range(0, len(rows), _RANKED_BLOCK):
                block = slice(start, start + _RANKED_BLOCK)
                similarity[block], neighbour[block] = self._search_block(rows[block], k)
                bar.update(len(rows[block]))
        return similarity, neighbour

    def _search_block(self, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        queries = self.vectors[rows]  # [B, H]
        _, proposed = self.index.search(queries, self.candidates + 1)  # [B, n]
        cosine = np.matmul(self.vectors[proposed], queries[:, :, None])[
            ..., 0
        ]  # [B, n, H] · [B, H, 1] → [B, n]
        cosine[(proposed < 0) | (proposed == rows[:, None])] = -np.inf
        best = np.argsort(-cosine, axis=1, kind="stable")[:, :k]
        cosine, proposed = np.take_along_axis(cosine, best, 1), np.take_along_axis(proposed, best, 1)
        found = np.isfinite(cosine)
        return np.where(found, cosine, -1.0), np.where(found, proposed, -1)


def _searched_by(
    cluster: RayCluster, faiss: Any, lists: _Lists, k: int, progress: bool
) -> tuple[np.ndarray, np.ndarray]:
    """As `_Lists.search` of all rows, a part by each process: the same blocks, so the same numbers."""
    packed, vectors = cluster.put(faiss.serialize_index(lists.index)), cluster.put(lists.vectors)
    step, n_items = _RANKED_BLOCK * _BLOCKS_PER_PART, len(lists.vectors)

    def parts() -> Iterator[tuple[Any, ...]]:
        for start in range(0, n_items, step):
            yield packed, vectors, lists.candidates, (start, min(start + step, n_items)), k

    found = []
    with tqdm(total=n_items, desc="neighbours", disable=not progress) as bar:
        for part in cluster.in_order(searched_part, parts(), gpu=False):
            found.append(part)
            bar.update(len(part[0]))
    similarity, neighbour = zip(*found, strict=True)
    return np.concatenate(similarity), np.concatenate(neighbour)


def searched_part(
    packed: np.ndarray, vectors: np.ndarray, candidates: int, part: tuple[int, int], k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours of a part of the items in a process of a cluster: similarities and positions [part, k].

    Args:
        packed: the index, with the lists it searches, as faiss writes it.
        vectors: of all items [I, H], mapped.
        candidates: items per item that are compared exactly.
        part: from which item to which.
        k: neighbours per item.
    """
    index = require_faiss().deserialize_index(packed)
    return _Lists(index, vectors, candidates).search(np.arange(*part), k)


def _calibrate(faiss: Any, lists: _Lists, k: int, min_recall: float, seed: int) -> float:
    """Set how many lists are searched and candidates compared; return the recall that the sample reached."""
    n_items = len(lists.vectors)
    rows = np.random.default_rng(seed).choice(n_items, min(_SAMPLE, n_items), replace=False)
    _, truth = _search(_exact_index(faiss, lists.vectors), lists.vectors, rows, k)
    lists.index.nprobe, before = 4, 0.0
    while True:
        recall = recall_at_k(lists.search(rows, k)[1], truth)
        searches_all = lists.index.nprobe >= lists.index.nlist
        if recall >= min_recall or (searches_all and lists.candidates >= n_items):
            return recall
        if (recall - before < _WORTHWHILE or searches_all) and lists.candidates < n_items:
            lists.candidates, before = min(2 * lists.candidates, n_items), 0.0
        else:
            lists.index.nprobe, before = min(2 * lists.index.nprobe, lists.index.nlist), recall


def _search(index: Any, vectors: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    similarity = np.full((len(rows), k), -1.0, dtype=np.float32)
    neighbour = np.full((len(rows), k), -1, dtype=np.int64)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        scores, ids = index.search(np.ascontiguousarray(vectors[block]), k + 1)  # [B, k+1]
        other = (ids != block[:, None]) & (ids >= 0)
        # Stable sort: real neighbours first, in order; the item itself and empty places last.
        order = np.argsort(~other, axis=1, kind="stable")[:, :k]
        keep = np.take_along_axis(other, order, axis=1)
        n = min(k, order.shape[1])
        stop = start + len(block)
        similarity[start:stop, :n] = np.where(keep, np.take_along_axis(scores, order, axis=1), -1.0)
        neighbour[start:stop, :n] = np.where(keep, np.take_along_axis(ids, order, axis=1), -1)
    return similarity, neighbour
