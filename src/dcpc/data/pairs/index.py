"""The k nearest neighbours of every item, at nearly linear cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from dcpc.errors import UsageError

_EXACT_UP_TO = 4096
_ITEMS_PER_LIST = 256
_TRAINING_POINTS_PER_LIST = 40
_SAMPLE = 256
# With faiss' 16, items land in the wrong list once there are thousands of lists, and far more must be searched.
_GRAPH_BREADTH = 128
_BLOCK = 16384


@dataclass(frozen=True)
class Neighbours:
    """The nearest neighbours of each of I items, without the item itself.

    Attributes:
        similarity: cosine similarities, float32 [I, k], descending; −1 where there are fewer than k.
        index: positions of the neighbours, int64 [I, k]; −1 where there are fewer than k.
        recall: recall@k against exact search, measured on a random sample of the items; 1.0 if exact.
        probes: inverted lists searched per item; 0 if exact.
    """

    similarity: np.ndarray
    index: np.ndarray
    recall: float
    probes: int


def nearest_neighbours(
    embeddings: np.ndarray, k: int = 10, *, min_recall: float = 0.97, seed: int = 0, progress: bool = False
) -> Neighbours:
    """Find the k most similar items of every item.

    Up to 4,096 items exactly; above that with faiss' inverted lists: I/256 lists, so that one list holds 256
    items whatever I is, found through a graph over the list centres, vectors in 8 bits. How many lists
    are searched is doubled until a sample of 256 items reaches `min_recall` against exact search.

    Args:
        embeddings: unit-length float32 [I, H].
        k: neighbours per item.
        min_recall: recall@k that the sample has to reach.
        seed: for the sample and the list centres.
        progress: show a progress bar.

    Raises:
        UsageError: if faiss is not installed (extra `pairs`) or k is below 1.
    """
    if k < 1:
        raise UsageError(f"{k} neighbours were asked for.", fix="Ask for one or more.")
    faiss = _faiss()
    vectors = np.ascontiguousarray(embeddings, dtype=np.float32)
    if len(vectors) <= _EXACT_UP_TO:
        similarity, index = _search(_exact_index(faiss, vectors), vectors, np.arange(len(vectors)), k, False)
        return Neighbours(similarity, index, 1.0, 0)
    index_ = _list_index(faiss, vectors, seed)
    probes, recall = _calibrate(faiss, index_, vectors, k, min_recall, seed)
    similarity, index = _search(index_, vectors, np.arange(len(vectors)), k, progress)
    return Neighbours(similarity, index, recall, probes)


def recall_at_k(found: np.ndarray, truth: np.ndarray) -> float:
    """The share of the true neighbours [Q, k] that are among the found ones [Q, k]."""
    hits = sum(len(np.intersect1d(a, b)) for a, b in zip(found, truth, strict=True))
    return hits / max(1, truth.size)


def exact_neighbours(embeddings: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Similarities [Q, k] and positions [Q, k] of the true nearest neighbours of some rows [Q]."""
    faiss = _faiss()
    return _search(
        _exact_index(faiss, np.ascontiguousarray(embeddings, np.float32)), embeddings, rows, k, False
    )


def _faiss() -> Any:
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
    n_lists = n_items // _ITEMS_PER_LIST
    rng = np.random.default_rng(seed)
    sample = vectors[rng.permutation(n_items)[: n_lists * _TRAINING_POINTS_PER_LIST]]
    kmeans = faiss.Kmeans(width, n_lists, niter=5, seed=seed, spherical=True, min_points_per_centroid=1)
    kmeans.train(sample)
    # A graph over the centres: comparing every item with every centre would cost I²/256.
    quantizer = faiss.IndexHNSWFlat(width, 32, faiss.METRIC_INNER_PRODUCT)
    quantizer.hnsw.efSearch = _GRAPH_BREADTH
    quantizer.add(kmeans.centroids)
    kind = faiss.ScalarQuantizer.QT_8bit
    index = faiss.IndexIVFScalarQuantizer(quantizer, width, n_lists, kind, faiss.METRIC_INNER_PRODUCT, False)
    index.train(sample)
    index.add(vectors)
    return index


def _calibrate(
    faiss: Any, index: Any, vectors: np.ndarray, k: int, min_recall: float, seed: int
) -> tuple[int, float]:
    """Set the number of searched lists; return it and the recall that the sample reached."""
    rows = np.random.default_rng(seed).choice(len(vectors), min(_SAMPLE, len(vectors)), replace=False)
    _, truth = _search(_exact_index(faiss, vectors), vectors, rows, k, False)
    probes = 4
    while True:
        index.nprobe = probes
        faiss.downcast_index(index.quantizer).hnsw.efSearch = max(_GRAPH_BREADTH, 2 * probes)
        recall = recall_at_k(_search(index, vectors, rows, k, False)[1], truth)
        if recall >= min_recall or probes >= index.nlist:
            return probes, recall
        probes = min(2 * probes, index.nlist)


def _search(
    index: Any, vectors: np.ndarray, rows: np.ndarray, k: int, progress: bool
) -> tuple[np.ndarray, np.ndarray]:
    similarity = np.full((len(rows), k), -1.0, dtype=np.float32)
    neighbour = np.full((len(rows), k), -1, dtype=np.int64)
    starts = tqdm(range(0, len(rows), _BLOCK), desc="neighbours", disable=not progress)
    for start in starts:
        block = rows[start : start + _BLOCK]
        scores, ids = index.search(np.ascontiguousarray(vectors[block], dtype=np.float32), k + 1)  # [B, k+1]
        other = (ids != block[:, None]) & (ids >= 0)
        # Stable sort: real neighbours first, in order; the item itself and empty places last.
        order = np.argsort(~other, axis=1, kind="stable")[:, :k]
        keep = np.take_along_axis(other, order, axis=1)
        n = min(k, order.shape[1])
        stop = start + len(block)
        similarity[start:stop, :n] = np.where(keep, np.take_along_axis(scores, order, axis=1), -1.0)
        neighbour[start:stop, :n] = np.where(keep, np.take_along_axis(ids, order, axis=1), -1)
    return similarity, neighbour
