"""Sentence embeddings of any encoder, cached on disk by the content of each text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from tqdm import tqdm

from dcpc.errors import DCPCError, ModelError
from dcpc.files import atomic_file
from dcpc.ray_cluster import RayCluster

_TEXTS_PER_SHARD = 2048
_NEARLY_ONE = 1e-2
MAX_LENGTH = 256
"""Tokens after which texts are cut, unless said otherwise."""


def embed_texts(
    texts: Sequence[str],
    encoder: str = "minilm",
    batch_size: int = 64,
    cache_dir: str | Path | None = None,
    progress: bool = True,
    max_length: int = MAX_LENGTH,
    cluster: RayCluster | None = None,
) -> np.ndarray:
    """Embed I texts: mean of the encoder's last token states over real tokens, scaled to unit length.

    Equal texts are embedded once. With a cache, every 2,048 new texts are written as one shard that is never
    changed afterwards, so a run that was killed goes on where it stopped.

    Args:
        texts: I texts.
        encoder: `minilm`, a Hugging Face id or a local path of any encoder.
        batch_size: texts per forward pass.
        cache_dir: folder of the cache; None: nothing is written. It holds hashes and vectors, no texts. Where it
            cannot be written, there is no cache; a shard in it that is damaged is made anew.
        progress: show a progress bar.
        max_length: tokens after which texts are cut.
        cluster: whose processes embed a shard each; this one keeps the cache. None: this process embeds.

    Returns:
        Embeddings, float32 [I, H].

    Raises:
        ModelError: if the encoder cannot be loaded or gives no token states.
        ClusterError: if processes of the cluster cannot do their part.
    """
    path = _encoder_path(encoder)
    keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
    folder = None if cache_dir is None else Path(cache_dir) / _encoder_key(encoder, path, max_length)
    known = _read_shards(folder)
    missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    if not texts:
        return np.empty((0, _load_encoder(path, encoder)[0].config.hidden_size), dtype=np.float32)
    if missing:
        # Longest first: a batch pads to its longest text, and memory runs out at once or never.
        order = sorted(missing, key=lambda key: -len(missing[key]))
        shards = [order[start : start + _TEXTS_PER_SHARD] for start in range(0, len(order), _TEXTS_PER_SHARD)]
        rows = ([missing[key] for key in shard] for shard in shards)
        with tqdm(
            total=len(texts), initial=len(texts) - len(missing), desc="embedding", disable=not progress
        ) as bar:
            embedded = (
                _embedded_here(rows, path, encoder, batch_size, max_length, bar)
                if cluster is None
                else _embedded_by(cluster, rows, encoder, batch_size, max_length, bar)
            )
            for shard, vectors in zip(shards, embedded, strict=True):  # vectors [shard, H]
                if folder is not None:
                    with suppress(OSError, SafetensorError, DCPCError):  # costs the cache, not the result
                        _write_shard(folder, shard, vectors)
                known.update(zip(shard, vectors, strict=True))
    return np.stack([known[key] for key in keys])


def _embedded_here(
    shards: Iterable[list[str]], path: str, encoder: str, batch_size: int, max_length: int, bar: tqdm
) -> Iterator[np.ndarray]:
    model, tokenizer = _load_encoder(path, encoder)
    for texts in shards:
        yield np.concatenate(list(_embed(texts, model, tokenizer, batch_size, max_length, bar)))


def _embedded_by(
    cluster: RayCluster,
    shards: Iterable[list[str]],
    encoder: str,
    batch_size: int,
    max_length: int,
    bar: tqdm,
) -> Iterator[np.ndarray]:
    name = str(Path(encoder).resolve()) if Path(encoder).is_dir() else encoder
    parts = ((texts, name, batch_size, max_length) for texts in shards)
    for vectors in cluster.in_order(embedded_shard, parts):
        bar.update(len(vectors))
        yield vectors


def embedded_shard(texts: list[str], encoder: str, batch_size: int, max_length: int) -> np.ndarray:
    """Embeddings of some texts in a process of a cluster, which keeps the encoder for the next, float32 [n, H].

    Args:
        texts: n texts.
        encoder, batch_size, max_length: as for `embed_texts`.
    """
    model, tokenizer = _kept_encoder(encoder)
    return np.concatenate(list(_embed(texts, model, tokenizer, batch_size, max_length, tqdm(disable=True))))


@lru_cache(maxsize=1)
def _kept_encoder(encoder: str) -> tuple[Any, Any]:
    return _load_encoder(_encoder_path(encoder), encoder)


def _embed(
    texts: list[str], model: Any, tokenizer: Any, batch_size: int, max_length: int, bar: tqdm
) -> Iterator[np.ndarray]:
    import torch

    from dcpc.models.sentence_classifier import mean_pool

    for start in range(0, len(texts), batch_size):
        batch = texts[start : start + batch_size]
        inputs = tokenizer(batch, padding=True, truncation=True, max_length=max_length, return_tensors="pt")
        with torch.inference_mode():
            states = model(**inputs.to(model.device)).last_hidden_state  # [B, n, H]
        mean = mean_pool(states, inputs["attention_mask"])  # [B, H]
        yield torch.nn.functional.normalize(mean, dim=1).float().cpu().numpy()
        bar.update(len(batch))


def _encoder_path(encoder: str) -> str:
    from dcpc.models.minilm import MINILM, minilm_path

    return str(minilm_path()) if encoder == MINILM else encoder


def _load_encoder(path: str, name: str) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModel, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(path)
        model = AutoModel.from_pretrained(path).eval()
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(
            f"the encoder cannot be loaded: {' '.join(str(error).split())[:200]}",
            where=name,
            fix="Give `minilm`, a Hugging Face id, or a local folder with config.json and weights.",
        ) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer


def _encoder_key(encoder: str, path: str, max_length: int) -> str:
    """A folder name for the encoder; a local one that is trained further gets another name."""
    parts = [encoder, str(max_length)]
    if encoder != "minilm" and Path(path).is_dir():
        files = sorted(p for p in Path(path).iterdir() if p.suffix in (".safetensors", ".bin", ".json"))
        parts += [f"{p.name}:{p.stat().st_size}:{p.stat().st_mtime_ns}" for p in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _read_shards(folder: Path | None) -> dict[bytes, np.ndarray]:
    known: dict[bytes, np.ndarray] = {}
    with suppress(OSError):  # a folder that may not be read is no cache
        for path in sorted(folder.glob("[!.]*.safetensors")) if folder is not None else []:
            keys, vectors = _read_shard(path)
            known.update(zip((key.tobytes() for key in keys), vectors, strict=True))
    return known


def _read_shard(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Keys, uint8 [n, 32], and vectors, float32 [n, H]; none of a file that is damaged or not ours."""
    nothing = np.empty((0, 32), np.uint8), np.empty((0, 0), np.float32)
    if not path.is_file():  # a pipe would be waited for
        return nothing
    try:
        shard = load_file(path)
        keys, vectors = shard["keys"], shard["vectors"]
    except (OSError, SafetensorError, KeyError):
        return nothing
    fits = keys.ndim == vectors.ndim == 2 and len(keys) == len(vectors) and keys.shape[1] == 32
    if not fits or (keys.dtype, vectors.dtype) != (np.uint8, np.float32):
        return nothing
    # Vectors that were cut or overwritten have another length; NaN compares false.
    whole = np.abs(np.linalg.norm(vectors, axis=1) - 1) < _NEARLY_ONE
    return (keys, vectors) if whole.all() else nothing


def _write_shard(folder: Path, keys: list[bytes], vectors: np.ndarray) -> None:
    # Named by content: two processes that embed the same texts write the same file.
    name = hashlib.sha256(b"".join(keys)).hexdigest()[:16]
    with atomic_file(folder / f"{name}.safetensors") as temporary:
        stacked = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(-1, 32)
        save_file({"keys": stacked, "vectors": np.ascontiguousarray(vectors)}, temporary)
