"""From annotations to conflict pairs: same item, near-duplicates, paraphrases, labelled apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dcpc.data.annotations import Annotations, item_texts
from dcpc.data.embeddings import embed_texts
from dcpc.data.pairs.index import nearest_neighbours, require_faiss
from dcpc.data.pairs.preference import preference_posterior
from dcpc.errors import UsageError
from dcpc.ray_cluster import RayCluster

KINDS = ("same_item", "near_duplicate", "paraphrase")
NEAR_DUPLICATE = 0.98
"""From this cosine similarity on, two texts count as near-duplicates rather than paraphrases."""

COLUMNS = (
    "item_a",
    "item_b",
    "similarity",
    "label_a",
    "label_b",
    "annotator_a",
    "annotator_b",
    "kind",
    "preference_posterior",
)


@dataclass(frozen=True)
class JudgementPairs:
    """P pairs of conflicting judgements, as positions among the J judgements of some annotations.

    Attributes:
        first: position of one judgement [P].
        second: position of the other, of an item that comes no earlier [P].
        similarity: cosine similarity of their items, 1 within an item [P].
        kind: number of their kind in `KINDS` [P].
        posterior: that annotator preference explains the difference [P]; NaN without annotators.
    """

    first: np.ndarray
    second: np.ndarray
    similarity: np.ndarray
    kind: np.ndarray
    posterior: np.ndarray

    def __len__(self) -> int:
        return len(self.first)


def mine_pairs(annotations: Annotations, **settings: Any) -> pd.DataFrame:
    """Find pairs of judgements of the same or nearly the same content that conflict, as a table.

    Args:
        annotations: J judgements of I items.
        **settings: as for `mine_judgement_pairs`.

    Returns:
        One row per pair of judgements, columns `COLUMNS`, most similar first, then most likely preference.

    Raises:
        UsageError: if the extra `pairs` is not installed, or `embeddings` has another number of items.
    """
    pairs = mine_judgement_pairs(annotations, **settings)
    table = annotations.table
    sides = {"a": pairs.first, "b": pairs.second}
    columns: dict[str, Any] = {"similarity": pairs.similarity, "preference_posterior": pairs.posterior}
    columns["kind"] = np.array(KINDS, dtype=object)[pairs.kind]
    for side, rows in sides.items():
        columns[f"item_{side}"] = table["item_id"].to_numpy()[rows]
        columns[f"label_{side}"] = table["label"].to_numpy()[rows]
        named = annotations.has_annotators
        columns[f"annotator_{side}"] = table["annotator_id"].to_numpy()[rows] if named else None
    return pd.DataFrame(columns, columns=list(COLUMNS))


def mine_judgement_pairs(
    annotations: Annotations,
    *,
    encoder: str = "minilm",
    k: int = 10,
    min_similarity: float = 0.9,
    cache: str | Path | None = None,
    embeddings: np.ndarray | None = None,
    progress: bool = True,
    cluster: RayCluster | None = None,
) -> JudgementPairs:
    """Find pairs of judgements of the same or nearly the same content that conflict.

    A pair conflicts if the labels differ and different annotators gave them: a difference within one annotator
    is signal and never returned. Without annotator ids only `same_item` and `near_duplicate` pairs are
    returned, their posterior empty, since nothing tells preference from topic there.

    Args:
        annotations: J judgements of I items.
        encoder: whose embeddings decide what is similar; see `embed_texts`.
        k: neighbours looked at per item.
        min_similarity: cosine similarity that two different items must reach.
        cache: folder of the embedding cache; None: no cache.
        embeddings: unit-length vectors [I, H] in the order of `annotations.item_ids`, instead of `encoder`.
        progress: show progress bars.
        cluster: whose processes embed and search, for many texts; None: this process does.

    Returns:
        Most similar pairs first, then those that are most likely preference.

    Raises:
        UsageError: if the extra `pairs` is not installed, or `embeddings` has another number of items.
        ClusterError: if processes of the cluster cannot do their part.
    """
    require_faiss()  # before minutes are spent on embeddings
    if embeddings is None:
        embeddings = embed_texts(
            item_texts(annotations.items), encoder, cache_dir=cache, progress=progress, cluster=cluster
        )
    if len(embeddings) != annotations.n_items:
        raise UsageError(f"{len(embeddings)} embeddings were given for {annotations.n_items} items.")
    a, b, similarity, kind = _similar_items(annotations, embeddings, k, min_similarity, progress, cluster)
    if not annotations.has_annotators:
        keep = kind != KINDS.index("paraphrase")
        a, b, similarity, kind = a[keep], b[keep], similarity[keep], kind[keep]
    pair, first, second = _conflicting_judgements(annotations, a, b)
    posterior = np.full(len(pair), np.nan)
    if annotations.has_annotators:
        posterior = preference_posterior(annotations, first, second)
    order = np.lexsort((-posterior, -similarity[pair]))
    pair, first, second, posterior = pair[order], first[order], second[order], posterior[order]
    return JudgementPairs(first, second, similarity[pair], kind[pair], posterior)


def _similar_items(
    annotations: Annotations,
    embeddings: np.ndarray,
    k: int,
    min_similarity: float,
    progress: bool,
    cluster: RayCluster | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Item positions a ≤ b with their similarity and kind: every item with itself, then its neighbours."""
    n = annotations.n_items
    found = nearest_neighbours(embeddings, min(k, max(1, n - 1)), progress=progress, cluster=cluster)
    a = np.repeat(np.arange(n), found.index.shape[1])
    b, similarity = found.index.ravel(), found.similarity.ravel()
    keep = (b >= 0) & (similarity >= min_similarity)
    a, b, similarity = np.minimum(a, b)[keep], np.maximum(a, b)[keep], similarity[keep]
    _, once = np.unique(a * n + b, return_index=True)  # both directions may have found the pair
    a, b, similarity = a[once], b[once], np.minimum(similarity[once], 1.0)
    normal = np.array([_normalised(text) for text in item_texts(annotations.items)], dtype=object)
    near = (similarity >= NEAR_DUPLICATE) | (normal[a] == normal[b])
    kind = np.where(near, KINDS.index("near_duplicate"), KINDS.index("paraphrase"))
    same = np.arange(n)
    return (
        np.concatenate([same, a]),
        np.concatenate([same, b]),
        np.concatenate([np.ones(n), similarity]),
        np.concatenate([np.zeros(n, dtype=np.int64), kind]),
    )


def _conflicting_judgements(
    annotations: Annotations, a: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All judgement pairs of the item pairs (a, b) [P] that conflict: item pair, first, second judgement."""
    rows = np.argsort(annotations.item_codes, kind="stable")  # judgements, grouped by item
    sizes = np.bincount(annotations.item_codes, minlength=annotations.n_items)  # [I]
    starts = np.cumsum(sizes) - sizes  # [I]
    cells = sizes[a] * sizes[b]  # [P]
    pair = np.repeat(np.arange(len(a)), cells)
    within = np.arange(len(pair)) - np.repeat(np.cumsum(cells) - cells, cells)
    width = sizes[b][pair]
    first = rows[starts[a][pair] + within // width]
    second = rows[starts[b][pair] + within % width]
    conflict = annotations.label_codes[first] != annotations.label_codes[second]
    if annotations.has_annotators:
        conflict &= annotations.annotator_codes[first] != annotations.annotator_codes[second]
    conflict &= (a != b)[pair] | (first < second)
    return pair[conflict], first[conflict], second[conflict]


def _normalised(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
