"""From annotations to a trained adapter: what `dcpc train`, the demo and the benchmark call."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from peft import PeftConfig, get_peft_model
from transformers import PreTrainedModel, PrinterCallback, ProgressCallback, set_seed

from dcpc.adapters import TrainedAdapter, quiet_libraries
from dcpc.baselines.peft_methods import adapter_config
from dcpc.data import Annotations
from dcpc.data.pairs import JudgementPairs, embedding_cache, mine_judgement_pairs
from dcpc.errors import UsageError
from dcpc.models import SentenceClassifier, load_base_model
from dcpc.task import Task
from dcpc.training.arguments import DCPCTrainingArguments
from dcpc.training.dataset import ItemDataset
from dcpc.training.trainer import DCPCTrainer
from dcpc.tuner import DCPCConfig

METHODS = ("dcpc", "lora", "p-tuning-v2")
"""Methods of `dcpc train`: DCPC, and PEFT's own for a first comparison."""

MAX_LENGTH = 256
"""Tokens after which texts are cut, unless said otherwise."""

DEFAULTS: dict[str, Any] = {
    "num_train_epochs": 5,
    "per_device_train_batch_size": 32,
    "per_device_eval_batch_size": 64,
    "warmup_steps": 0.1,
    "logging_steps": 10,
}
"""Training arguments that differ from transformers' defaults."""


LEARNING_RATES = {"dcpc": 1e-2, "p-tuning-v2": 1e-2, "lora": 1e-3}
"""Peak learning rates that suit small encoders; large base models want lower ones."""

DCPC_DEFAULTS: dict[str, Any] = {"num_virtual_tokens": 10}
"""Fields of `DCPCConfig`: with ten positions it trains as many numbers as P-Tuning v2 with sixteen, within 20 %."""


def train_adapter(
    train: Annotations,
    validation: Annotations | None,
    *,
    base_model: str,
    method: str = "dcpc",
    adapter: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    max_length: int | None = MAX_LENGTH,
    checkpoints: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
    trust_remote_code: bool = False,
) -> TrainedAdapter:
    """Train an adapter on raw judgements.

    Args:
        train: judgements to train on.
        validation: held-out items with noisy judgements: the epoch that predicts them best is kept. None keeps
            the last.
        base_model: `minilm`, a Hugging Face id, or a local path.
        method: one of `METHODS`.
        adapter: fields of the adapter's PEFT configuration.
        training: fields of `DCPCTrainingArguments`.
        max_length: tokens after which texts are cut.
        checkpoints: folder for checkpoints; None for a temporary one.
        resume: go on from the last checkpoint in `checkpoints`.
        progress: show progress bars.
        trust_remote_code: run modelling code that the base model brings.

    Raises:
        ModelError: if the base model cannot be loaded or adapted.
        TrainingError: if the loss stops being a number, or a trainable tensor gets no gradient.
    """
    if checkpoints is None:
        with TemporaryDirectory(prefix="dcpc-") as folder:
            return train_adapter(
                train,
                validation,
                base_model=base_model,
                method=method,
                adapter=adapter,
                training=training,
                max_length=max_length,
                checkpoints=folder,
                progress=progress,
                trust_remote_code=trust_remote_code,
            )
    arguments = _arguments(method, training or {}, Path(checkpoints), validation is not None, progress)
    set_seed(arguments.seed)
    base, tokenizer = load_base_model(base_model, train.labels, trust_remote_code=trust_remote_code)
    config = _adapter_config(method, base, train, adapter or {})
    with quiet_libraries():
        model = get_peft_model(base, config)
    index = {name: number for number, name in enumerate(getattr(config, "annotators", None) or [])}
    trainer = DCPCTrainer(
        model,
        arguments,
        ItemDataset(train, tokenizer, index, max_length, _mined_pairs(train, arguments, progress)),
        None if validation is None else ItemDataset(validation, tokenizer, index, max_length),
        processing_class=tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    if progress:
        trainer.remove_callback(ProgressCallback)
        trainer.add_callback(_QuietProgress)
    started = time.perf_counter()
    with quiet_libraries():
        trainer.train(resume_from_checkpoint=resume)
    task = Task(
        base_model=base_model,
        method=method,
        labels=list(train.labels),
        scale=train.scale,
        max_length=max_length,
    )
    seconds = time.perf_counter() - started
    return TrainedAdapter(model.eval(), tokenizer, task, seconds, trainer.state.log_history)


def _arguments(
    method: str, training: Mapping[str, Any], folder: Path, validates: bool, progress: bool
) -> DCPCTrainingArguments:
    settings = {**DEFAULTS, "output_dir": str(folder), "save_strategy": "epoch", "save_total_limit": 1}
    settings["learning_rate"] = LEARNING_RATES.get(method, DCPCTrainingArguments.learning_rate)
    if method != "dcpc":
        settings["preset"] = "none"
    if validates:
        settings |= {
            "eval_strategy": "epoch",
            "load_best_model_at_end": True,
            "metric_for_best_model": "eval_loss",
        }
    settings |= {"disable_tqdm": not progress, **training}
    _check_numbers(settings)
    try:
        arguments = DCPCTrainingArguments(**settings)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"the training arguments do not fit: {error}", fix="Look at --set and the recipe."
        ) from error
    arguments.objective_config()  # a wrong objective must not wait for the model to load
    return arguments


def _mined_pairs(
    train: Annotations, arguments: DCPCTrainingArguments, progress: bool
) -> JudgementPairs | None:
    if not arguments.objective_config().mined_pairs:
        return None
    return mine_judgement_pairs(train, cache=embedding_cache(), progress=progress)


def _check_numbers(settings: Mapping[str, Any]) -> None:
    # TrainingArguments takes any type, and a word where a number belongs would only fail deep inside the training.
    for field in fields(DCPCTrainingArguments):
        value = settings.get(field.name)
        if isinstance(field.default, float) and isinstance(value, str):
            raise UsageError(
                f"`{field.name}` is a number, found `{value}`.", fix=f"Write e.g. {field.default}."
            )


def _adapter_config(
    method: str, base: PreTrainedModel, train: Annotations, changes: Mapping[str, Any]
) -> PeftConfig:
    if method not in METHODS:
        raise UsageError(f"there is no method `{method}`.", fix=f"Methods are: {', '.join(METHODS)}.")
    if method != "dcpc":
        return adapter_config(method, base, list(train.labels), **changes)
    # A single annotator cannot be told from the consensus.
    annotators = list(train.annotators) if len(train.annotators) > 1 else None
    settings: dict[str, Any] = {"task_type": "SEQ_CLS", **DCPC_DEFAULTS}
    if isinstance(base, SentenceClassifier):
        # A task type would make PEFT's auto classes load transformers' own classifier, with another pooling.
        settings |= {"task_type": None, "modules_to_save": ["classifier"]}
    settings |= {"labels": list(train.labels), "annotators": annotators}
    try:
        return DCPCConfig(**{**settings, **changes})
    except TypeError as error:
        raise UsageError(f"the adapter's configuration does not fit: {error}") from error


class _QuietProgress(ProgressCallback):
    """The Trainer's progress bar, without a line per log entry: the summary at the end says what matters."""

    def on_log(self, *args: Any, **kwargs: Any) -> None:
        pass
