"""GGUF files as base models: converted once into the user's cache, so that they load and train like any folder.

transformers reads a GGUF file, but slowly, needs the file again every time, and cannot save what it has read. So the
weights are copied into a plain model of the same configuration and kept as safetensors, in a folder that is named by
the file's SHA-256. They stay as the file rounds them: 4-bit weights in float32 are still 4-bit weights.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from dcpc.errors import ModelError
from dcpc.models.quiet import quiet_transformers
from dcpc.user_cache import user_cache

SUFFIX = ".gguf"
MAGIC = b"GGUF"
VERSION = "1"
"""Of the conversion: folders of another version are not used."""
NO_ARCHITECTURES = {"general", "tokenizer"}
"""Stand in transformers' list of architectures and are none."""
WHOLE = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
"""What a converted folder holds; it appears with one renaming, so a missing file was deleted later."""


def converted(file: Path, sha256: str, pad_token: str | None = None) -> Path:
    """The folder of a GGUF file's model and tokenizer, converted on first use.

    Several processes may ask at once: one converts, the others wait for it.

    Args:
        file: the GGUF file; it is read on first use only.
        sha256: of the file; names the folder.
        pad_token: which of its tokens pads, where the file names none or the one that also ends texts.

    Raises:
        ModelError: the file is no GGUF file, of an architecture that transformers does not read, or without a
            tokenizer; the package `gguf` is missing; the cache cannot be written.
    """
    cache = user_cache("models")
    folder = cache / f"{file.stem}-{sha256[:16]}-v{VERSION}"
    if _is_whole(folder):
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f".{folder.name}.lock"):
            if not _is_whole(folder):  # another process may have been faster
                _convert(file, folder, pad_token)
    except OSError as error:
        raise ModelError(
            f"the converted model cannot be kept in the cache ({error.strerror or error}).",
            where=cache,
            fix="Make it writable, or set XDG_CACHE_HOME to a folder that is, with 1 GB of room for `smollm2`.",
        ) from error
    return folder


def sha256_of(file: Path) -> str:
    """SHA-256 of a file in hexadecimal.

    Raises:
        ModelError: the file cannot be read.
    """
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(
            f"the base model cannot be read ({error.strerror}).", where=file, fix="Name another file."
        ) from error


def _is_whole(folder: Path) -> bool:
    return all((folder / name).is_file() for name in WHOLE)


def _convert(file: Path, folder: Path, pad_token: str | None) -> None:
    _check_readable(file)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        with quiet_transformers():
            _write(file, temporary, pad_token)
        temporary.chmod(0o755)
        if folder.exists():  # damaged: whole folders are not converted again
            shutil.rmtree(folder)
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(file: Path, folder: Path, pad_token: str | None) -> None:
    """Model and tokenizer of a GGUF file as files of their own."""
    source: dict[str, Any] = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
    try:
        tokenizer = AutoTokenizer.from_pretrained(**source)
        loaded = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    except (ValueError, KeyError, TypeError, NotImplementedError) as error:
        raise ModelError(
            f"the GGUF file cannot be read: {' '.join(str(error).split())[:300]}",
            where=file,
            fix="Use a model folder in safetensors, or another GGUF file of the model.",
        ) from error
    config = AutoConfig.for_model(**_plain(loaded.config.to_dict()))
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(loaded.state_dict())
    model.tie_weights()
    if pad_token is not None:
        tokenizer.pad_token = pad_token
        model.config.pad_token_id = model.generation_config.pad_token_id = tokenizer.pad_token_id
    limit = getattr(config, "max_position_embeddings", None)
    if limit is not None:
        tokenizer.model_max_length = limit
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration that says nothing of the GGUF file, whose quantisation could not be saved."""
    return {
        key: value for key, value in config.items() if key not in ("quantization_config", "_name_or_path")
    }


def _check_readable(file: Path) -> None:
    if importlib.util.find_spec("gguf") is None:
        raise ModelError(
            "the package `gguf`, which reads GGUF files, is not installed.",
            where=file,
            fix="Install it with: pip install gguf",
        )
    from gguf import GGUFReader
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    with file.open("rb") as opened:
        if opened.read(len(MAGIC)) != MAGIC:
            raise ModelError("is not a GGUF file.", where=file, fix="Name a GGUF file or a model folder.")
    try:
        field = GGUFReader(file).get_field("general.architecture")
        architecture = None if field is None else str(field.contents())
    except (ValueError, IndexError, KeyError) as error:
        raise ModelError(
            f"the GGUF file is damaged ({' '.join(str(error).split())[:200]}).",
            where=file,
            fix="Download it again.",
        ) from error
    if architecture not in GGUF_SUPPORTED_ARCHITECTURES:
        raise ModelError(
            f"the GGUF file holds a model of the architecture `{architecture}`, which transformers does not read.",
            where=file,
            fix="Use a model folder in safetensors. Architectures that are read from GGUF: "
            f"{', '.join(sorted(set(GGUF_SUPPORTED_ARCHITECTURES) - NO_ARCHITECTURES))}.",
        )
