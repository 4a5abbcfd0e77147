"""Embedding and mining on Ray find what this process alone finds, also where processes are killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dcpc import ray_cluster
from dcpc.data import embeddings
from dcpc.data.annotations import Annotations
from dcpc.data.embeddings import embed_texts
from dcpc.data.pairs import index, mine_judgement_pairs
from dcpc.errors import ClusterError, ModelError, UsageError
from dcpc.ray_cluster import RayCluster
from tiny_models import save_tiny_bert

WORDS = ("good", "awful", "film", "room", "meal", "was", "very", "the", "a", "great")


def killed_once(mark: Path, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """`function`, in a process that is killed amid its work the first time that any comes here.

    Args:
        mark: folder with a file for each process that was killed.
        name: of that file.
        function: does the work.
        *arguments: of it.
    """
    try:
        (mark / name).touch(exist_ok=False)
    except FileExistsError:
        return function(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
    return None


def always_killed(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """Two processes of a Ray of this machine."""
    pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # where its processes find this file
        with RayCluster("local", at_a_time=2) as joined:
            yield joined


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Small pieces of work, the first of each kind in a process that is killed; names of those that were."""
    mark = tmp_path / "killed"
    mark.mkdir()
    for module, name in ((embeddings, "embedded_shard"), (index, "searched_part")):
        monkeypatch.setattr(module, name, partial(killed_once, mark, name, getattr(module, name)))
    monkeypatch.setattr(embeddings, "_TEXTS_PER_SHARD", 16)
    monkeypatch.setattr(index, "_EXACT_UP_TO", 500)
    monkeypatch.setattr(index, "_RANKED_BLOCK", 128)
    monkeypatch.setattr(index, "_BLOCKS_PER_PART", 2)
    return mark


def texts(number: int) -> list[str]:
    draw = np.random.default_rng(0)
    return [" ".join(draw.choice(WORDS, draw.integers(3, 12))) + f" {i}" for i in range(number)]


def conflicting(number: int) -> tuple[Annotations, np.ndarray]:
    """Judgements of so many items by ten annotators, and vectors in clusters of ten."""
    draw = np.random.default_rng(1)
    frame = pd.DataFrame({"item_id": [f"i{i}" for i in range(number)], "text": texts(number)})
    frame["annotator_id"] = [f"a{i}" for i in draw.integers(0, 10, number)]
    frame["label"] = draw.choice(["no", "yes"], number)
    centres = draw.standard_normal((number // 10, 32))
    vectors = centres[np.arange(number) % len(centres)] + 0.2 * draw.standard_normal((number, 32))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Annotations(frame, ("no", "yes")), vectors.astype(np.float32)


def test_embeddings_of_a_cluster_are_those_of_one_process(
    cluster: RayCluster, once: Path, tmp_path: Path
) -> None:
    encoder, given = save_tiny_bert(tmp_path / "encoder"), texts(100)
    cached = tmp_path / "cache"
    found = embed_texts(given, encoder, cache_dir=cached, progress=False, cluster=cluster)
    assert [path.name for path in once.iterdir()] == ["embedded_shard"]
    np.testing.assert_allclose(found, embed_texts(given, encoder, progress=False), atol=1e-6)
    # What the processes embedded is kept: nothing is left to do for a second command.
    again = embed_texts(given, encoder, cache_dir=cached, progress=False, cluster=None)
    np.testing.assert_array_equal(found, again)
    assert len(list(cached.glob("*/*.safetensors"))) == 7


def test_pairs_of_a_cluster_are_those_of_one_process(cluster: RayCluster, once: Path) -> None:
    pytest.importorskip("faiss")
    annotations, vectors = conflicting(1500)
    ours = mine_judgement_pairs(annotations, embeddings=vectors, progress=False, cluster=cluster)
    assert [path.name for path in once.iterdir()] == ["searched_part"]
    theirs = mine_judgement_pairs(annotations, embeddings=vectors, progress=False)
    assert len(ours) > 500
    for field in fields(ours):
        np.testing.assert_array_equal(getattr(ours, field.name), getattr(theirs, field.name))


def test_a_process_that_ends_each_time_is_an_error(
    cluster: RayCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "RETRIES", 1)
    with pytest.raises(ClusterError, match="without a result, 2 times"):
        list(cluster.in_order(always_killed, [("a part",)]))


def test_an_error_of_the_work_keeps_its_words(cluster: RayCluster, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="the encoder cannot be loaded") as caught:
        embed_texts(["a"], str(tmp_path / "empty"), progress=False, cluster=cluster)
    assert "Give `minilm`" in str(caught.value)
    with pytest.raises(ClusterError, match=r"cannot do its part: .*ZeroDivisionError"):
        list(cluster.in_order(divmod, [(1, 0)]))


def test_parts_come_in_their_order_and_few_in_advance(cluster: RayCluster) -> None:
    asked: list[int] = []

    def parts() -> Iterator[tuple[int]]:
        for number in range(-20, 0):
            asked.append(number)
            yield (number,)

    found = cluster.in_order(abs, parts())
    assert next(found) == 20
    assert len(asked) <= 4
    assert list(found) == list(range(19, 0, -1))


def test_who_cannot_join_is_told_of_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")

    def refuse(**_: Any) -> None:
        raise ConnectionError("Failed to connect to Ray cluster at 192.0.2.1:6379")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with pytest.raises(UsageError, match="RAY_AUTH_MODE=token"):
        RayCluster("auto")
