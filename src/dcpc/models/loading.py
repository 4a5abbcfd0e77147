"""From a name to a base model with a classification head, and its tokenizer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from dcpc.errors import ModelError
from dcpc.models.minilm import MINILM, minilm_path
from dcpc.models.sentence_classifier import SentenceClassifier


def load_base_model(
    name: str, labels: Sequence[str], *, trust_remote_code: bool = False, **kwargs: Any
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a base model with an untrained head of C = len(labels) classes, and its tokenizer.

    Sentence encoders (folders in the sentence-transformers form with mean pooling, `minilm` among them) become
    a `SentenceClassifier`; everything else is transformers' own `AutoModelForSequenceClassification`.

    Args:
        name: `minilm`, a Hugging Face id, or a local path.
        labels: the label names in their order.
        trust_remote_code: run modelling code that the model's repository brings; only on the user's word.
        **kwargs: passed to `from_pretrained` (`dtype`, `device_map`, …).

    Raises:
        ModelError: if there is no such model, or it cannot be loaded.
    """
    name = located(name)
    path = str(minilm_path()) if name == MINILM else name
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    try:
        with _quiet_about_the_new_head():
            config = AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code, **names)
            tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code)
            _check_vocabulary(tokenizer)
            if pools_by_mean(path):
                model = SentenceClassifier.from_pretrained(name, config=config, **kwargs)
            else:
                model = AutoModelForSequenceClassification.from_pretrained(
                    path, config=config, trust_remote_code=trust_remote_code, **kwargs
                )
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        raise ModelError(
            f"the base model cannot be loaded: {_first_sentence(error)}",
            where=name,
            fix="Give a Hugging Face id, a local folder with config.json and weights, or `minilm`.",
        ) from error
    _ensure_padding(model, tokenizer)
    return model, tokenizer


def located(name: str) -> str:
    """The name by which a base model is found from any folder: a local one by its absolute path.

    Raises:
        ModelError: the name can only be a path, and there is no such folder; the hub need not be asked.
    """
    if name == MINILM:
        return name
    path = Path(name).expanduser()
    if path.is_dir():
        return os.path.abspath(path)
    starts = name.startswith((".", "/", "~"))
    # The hub's names have one slash at most, and none at the end.
    if starts or "\\" in name or name.endswith("/") or name.count("/") > 1 or path.is_file():
        found = "it is a file, not a folder" if path.is_file() else "there is no such folder"
        raise ModelError(
            f"the base model cannot be loaded: {found}.",
            where=name,
            fix="Give a local folder with config.json and weights, a Hugging Face id, or `minilm`.",
        )
    return name


def pools_by_mean(path: str) -> bool:
    """Whether a local folder is a sentence encoder that was trained with mean pooling."""
    pooling = Path(path) / "1_Pooling" / "config.json"
    if not pooling.is_file():
        return False
    return bool(json.loads(pooling.read_text(encoding="utf-8")).get("pooling_mode_mean_tokens"))


def _check_vocabulary(tokenizer: PreTrainedTokenizerBase) -> None:
    # Where a folder has no tokenizer files, transformers builds a tokenizer to which every word is unknown.
    if len(tokenizer.get_vocab()) <= len(set(tokenizer.all_special_tokens)):
        raise ValueError("its tokenizer has no vocabulary (the tokenizer's files are missing)")


def _ensure_padding(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    # Decoder-only models often define no padding token, and their classification head looks for the last token
    # that is not padding.
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id


def _first_sentence(error: Exception) -> str:
    return " ".join(str(error).split()).split(". ")[0].rstrip(".") + "."


@contextmanager
def _quiet_about_the_new_head() -> Iterator[None]:
    # transformers warns that the classification head is new; here it always is.
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
