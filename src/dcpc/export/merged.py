"""A folder that plain transformers loads: the update is in the base model's weights, the effect in the head's bias.

A classifier goes into `pipeline("text-classification")`. A base model that transformers has no classifier for (a
sentence encoder that pools by the mean) brings its class along in one file, which `trust_remote_code=True` runs.
A language model that scores label words becomes a causal language model, as llama.cpp's converter takes it.
"""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

from peft import PeftModel
from torch import nn

from dcpc.adapter import TrainedAdapter
from dcpc.errors import UsageError
from dcpc.export import sentence_model
from dcpc.export.head import bake, change_of, classifying_layer, said_of
from dcpc.export.lora import TRAIN_INSTEAD
from dcpc.export.whose import Whose
from dcpc.models import SentenceClassifier, without_pooler


def write_merged(adapter: TrainedAdapter, who: Whose, folder: Path) -> tuple[float, list[str]]:
    """Write model, tokenizer and configuration, with the names of the labels.

    Returns:
        The largest error of a probability, and notes.

    Raises:
        UsageError: the adapter does not merge.
    """
    if adapter.shape.name == "prefer":
        return _write_reward(adapter, folder)
    if adapter.shape.name != "classify":
        return write_causal(adapter, who, folder)
    change = change_of(adapter, who)
    model = _merged(adapter)
    bake(change, classifying_layer(model, len(adapter.task.labels)))
    config, labels = model.config, adapter.task.labels
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: number for number, label in enumerate(labels)}
    config.problem_type = "single_label_classification"
    config.dcpc = _described(adapter, who)
    model.save_pretrained(str(folder), safe_serialization=True)
    if isinstance(model, SentenceClassifier):
        _bring_class(model, folder)
    _write_tokenizer(adapter, folder)
    return change.largest_error, said_of(change, who)


def _write_reward(adapter: TrainedAdapter, folder: Path) -> tuple[float, list[str]]:
    """Write a merged classifier with one output, the reward, as TRL and leaderboards of reward models load it.

    Raises:
        UsageError: the adapter does not merge.
    """
    model = _merged(adapter, "Train with --set rank=8, or --method lora.")
    model.config.num_labels = 1
    model.config.problem_type = "regression"
    if model.config.pad_token_id is None:  # causal classifiers find a response's last token by it
        model.config.pad_token_id = adapter.tokenizer.pad_token_id
    model.save_pretrained(str(folder), safe_serialization=True)
    if isinstance(model, SentenceClassifier):
        _bring_class(model, folder)
    _write_tokenizer(adapter, folder)
    return 0.0, ["Who voted is not part of it: rewards need none of the raters."]


def write_causal(adapter: TrainedAdapter, who: Whose, folder: Path) -> tuple[float, list[str]]:
    """Write a merged causal language model.

    Raises:
        UsageError: the adapter does not merge or classifies with a head, or somebody's bias is asked for.
    """
    if adapter.shape.name == "classify":
        raise UsageError(
            "the adapter classifies with a head, and GGUF files hold language models.",
            fix="Train on a language model with label words (--words), or use --as onnx.",
        )
    if who.number is not None:
        raise UsageError(
            f"{who.name} is a bias on the logits of labels, and this adapter scores words, which have none.",
            fix="Leave --annotator and --group out, or train with a head (--head).",
        )
    model = _merged(adapter, TRAIN_INSTEAD)
    if model.config.is_encoder_decoder:
        raise UsageError(
            "the base model has an encoder and a decoder; a causal language model is needed.",
            fix="Train on a causal language model, as `smollm2`.",
        )
    model.config.dcpc = _described(adapter, who)
    model.save_pretrained(str(folder), safe_serialization=True)
    _write_tokenizer(adapter, folder)
    return 0.0, ["Effects of annotators on label words are not part of a language model's weights."]


def _merged(adapter: TrainedAdapter, instead: str = f"{TRAIN_INSTEAD} Or use --as onnx.") -> Any:
    """The base model with the update in its weights; the adapter is used up.

    Args:
        adapter: trained.
        instead: what to do where it does not merge.

    Raises:
        UsageError: it does not.
    """
    model = adapter.model
    if not isinstance(model, PeftModel):
        raise UsageError(f"what {adapter.task.method} trained is no adapter.", fix="Save the model as it is.")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message="The annotators' effects are not part"
            )  # the head has them
            merged: nn.Module = model.merge_and_unload(safe_merge=True)
    except UsageError as error:
        raise UsageError(error.what, fix=instead) from error
    except (ValueError, AttributeError, NotImplementedError) as error:
        raise UsageError(
            f"an adapter of the method {adapter.task.method} does not merge: {' '.join(str(error).split())[:160]}",
            fix=instead,
        ) from error
    return merged


def _described(adapter: TrainedAdapter, who: Whose) -> dict[str, Any]:
    rule = adapter.task.decision
    return {
        "whose": who.name,
        "labels": adapter.task.labels,
        "decides": adapter.task.how_it_decides,
        "offsets": None if rule is None else rule.offsets,
    }


def _write_tokenizer(adapter: TrainedAdapter, folder: Path) -> None:
    tokenizer, limit = adapter.tokenizer, adapter.task.max_length
    if limit is not None:  # `truncation=True` then cuts where training cut
        tokenizer.model_max_length = min(limit, tokenizer.model_max_length)
    tokenizer.save_pretrained(str(folder))


def _bring_class(model: SentenceClassifier, folder: Path) -> None:
    """Put the classifier's own file beside its weights, and name it in the configuration."""
    source = Path(sentence_model.__file__)
    shutil.copyfile(source, folder / source.name)
    name = sentence_model.MeanPooledClassifier.__name__
    config = model.config
    config.auto_map = {"AutoModelForSequenceClassification": f"{source.stem}.{name}"}
    config.architectures = [name]
    config.without_pooler = without_pooler(config)
    config.save_pretrained(str(folder))
