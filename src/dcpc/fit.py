"""From annotations to a trained adapter: what `dcpc train` calls."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from torch import nn
from transformers import (
    PrinterCallback,
    ProgressCallback,
    TrainerCallback,
    set_seed,
)

from dcpc import launcher, ranks
from dcpc.about import About
from dcpc.adapter import TrainedAdapter, quiet_libraries
from dcpc.data import Annotations
from dcpc.data.annotations import ITEM_COLUMNS
from dcpc.data.pairs import JudgementPairs, cache_notes, embedding_cache, mine_judgement_pairs
from dcpc.errors import ModelError, TrainingError, UsageError
from dcpc.evaluation.decision import fit_rule
from dcpc.models import located
from dcpc.prediction import predict_distribution
from dcpc.ray_cluster import joined, require_ray
from dcpc.recipe import VALIDATION_SHARE
from dcpc.task import Task
from dcpc.tasks import TaskShape, task_shape
from dcpc.training.arguments import DCPCTrainingArguments, checked_arguments, made_arguments
from dcpc.training.best import BestWeights
from dcpc.training.building import Blueprint
from dcpc.training.carriers import FEW_ITEMS, RATE_OF_FEW, Carrier, DCPCCarrier, carrier_of
from dcpc.training.dataset import ItemDataset
from dcpc.training.demonstrations import check_demonstrations
from dcpc.training.holdout import hold_out
from dcpc.training.rule import LearningRule
from dcpc.training.sharding import Sharding
from dcpc.training.step import check_correction
from dcpc.training.trainer import DCPCTrainer
from dcpc.training.zero import Zero
from dcpc.tuner.acting import dcpc_tuner
from dcpc.weights import check_weights

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


def train_adapter(
    train: Annotations,
    validation: Annotations | float | None = VALIDATION_SHARE,
    *,
    base_model: str,
    task: TaskShape | Mapping[str, Any] | None = None,
    method: str | Carrier = "dcpc",
    adapter: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    rule: LearningRule | None = None,
    base_options: Mapping[str, Any] | None = None,
    max_length: int | None = MAX_LENGTH,
    checkpoints: str | Path | None = None,
    resume: bool | str | Path = False,
    progress: bool = True,
    trust_remote_code: bool = False,
    callbacks: Sequence[TrainerCallback] = (),
    ray: str | None = None,
) -> TrainedAdapter:
    """Train an adapter on raw judgements.

    Under a launcher (`torchrun`, `accelerate launch`) every process calls this alike; all of them end with the same
    adapter, which the first one saves.

    Args:
        train: judgements to train on; all of them, or what `dcpc.training.holdout.hold_out` leaves of them where
            `validation` is a share.
        validation: held-out items with noisy judgements: the epoch that predicts them best is kept, and the rule by
            which the adapter decides for labels is fitted on them. A share of the items holds them out of `train`,
            by its `split` column where it has one. None keeps the last epoch, and gives no rule.
        base_model: `minilm`, a Hugging Face id, or a local path.
        task: what an item is to the model, as a shape of `dcpc.tasks` or its settings, `{"name": "label-words"}`;
            None for a text that a head classifies.
        method: `dcpc`, `lora` or `p-tuning-v2`, or any other `dcpc.training.carriers.Carrier`.
        adapter: settings of the carrier: fields of the adapter's PEFT configuration.
        training: fields of `DCPCTrainingArguments`; with `bf16` predictions are made under the same autocast.
        rule: how judgements become a loss; None for the objective in `training`.
        base_options: for the base model's `from_pretrained`, e.g. `{"attn_implementation": "eager"}`; and
            `{"quantise": "bnb-4bit"}`, see `dcpc.models.quantised`.
        max_length: tokens after which texts are cut.
        checkpoints: folder for checkpoints; None writes none and keeps the best epoch in memory.
        resume: go on from this checkpoint; True for the last one in `checkpoints`.
        progress: show progress bars.
        trust_remote_code: run modelling code that the base model brings.
        callbacks: further callbacks of the Trainer.
        ray: mine pairs on Ray, `local` or the address of a cluster, see `dcpc.ray_cluster`; None: in this process.

    Raises:
        UsageError: settings that do not fit together, or `resume` without `checkpoints`.
        ModelError: if the base model cannot be loaded or adapted.
        TrainingError: if the loss stops being a number, or a trainable tensor gets no gradient.
    """
    train, validation = _divided(train, validation, training or {})
    if checkpoints is None and resume:
        raise UsageError("there are no checkpoints to go on from.", fix="Say where they are: `checkpoints`.")
    carrier = carrier_of(method)
    zero, training = Zero.asked(training or {})
    sharding, training = Sharding.asked(training)
    with ExitStack() as stack:
        stack.enter_context(launcher.without_engine())
        # Without checkpoints the best epoch is kept in memory, unless the last one is asked for.
        in_memory = checkpoints is None and "load_best_model_at_end" not in training
        if checkpoints is None:
            checkpoints = stack.enter_context(TemporaryDirectory(prefix="dcpc-"))
            training = {"save_strategy": "no", "load_best_model_at_end": False, **training}
        arguments = _arguments(carrier, training, Path(checkpoints), validation is not None, progress)
        if ray is not None:
            _check_ray(arguments)
        if zero is not None:
            zero.check(arguments)
        options = {**(base_options or {}), "trust_remote_code": trust_remote_code}

        shape = task if isinstance(task, TaskShape) else task_shape(task)
        shape.check(train)
        own, settings = shape.own_rule(train, arguments.objective_config(), adapter or {})
        rule = own if rule is None else rule
        if arguments.demonstrations:
            check_demonstrations(carrier, settings)
        if isinstance(carrier, DCPCCarrier) and (names := shape.logit_names(train.labels)) != list(
            train.labels
        ):
            settings = {"labels": names, **settings}

        plan = Blueprint(
            carrier, settings, shape, base_model, options, train, arguments, max_length, sharding
        )
        set_seed(arguments.seed)
        built = plan.build()
        model, tokenizer, picked = built.model, built.tokenizer, [*built.notes]
        if rule is not None:
            rule.make_peer = lambda: plan.build().model
        if "learning_rate" not in training:
            arguments.learning_rate = carrier.rate_for(model, train.n_items)
            picked += _rate_note(carrier, arguments.learning_rate)
        shape = shape.bound(train, tokenizer)
        index = {name: number for number, name in enumerate(_annotators_of(model, train, rule))}
        check_correction(model, arguments.objective_config())  # mining takes long
        pairs = ranks.once(lambda: _mined_pairs(train, arguments, progress, ray))
        items = ItemDataset(train, tokenizer, index, max_length, pairs, shape)
        validates = (
            None if validation is None else ItemDataset(validation, tokenizer, index, max_length, shape=shape)
        )
        trainer = DCPCTrainer(
            model,
            arguments,
            items,
            validates,
            processing_class=tokenizer,
            rule=rule,
            carrier=carrier,
            zero=zero,
            callbacks=[*callbacks, *([BestWeights()] if in_memory else [])],
        )
        seconds = run_trainer(trainer, resume if isinstance(resume, bool) else str(resume), progress)
    described = Task(
        base_model=located(base_model),
        method=carrier.name,
        labels=list(train.labels),
        scale=train.scale,
        range=train.range,
        max_length=max_length,
        inputs=[name for name in ITEM_COLUMNS if name in train.table],
        base_sha256=built.fingerprint,
        shape=shape.model_dump(mode="json"),
        dtype=_dtype_name(options.get("dtype")),
        quantise=options.get("quantise"),
    )
    trained = TrainedAdapter(
        # With bf16 the Trainer has put its autocast around `forward`, and predictions shall be made under the same.
        model.eval(),
        tokenizer,
        described,
        seconds,
        trainer.state.log_history,
        rule=trainer.rule,
        steps=trainer.state.global_step,
        notes=[
            *dict.fromkeys(
                [
                    *picked,
                    *shape.notes(train),
                    *(shape.split_notes(train, validation) if validation is not None else ()),
                    *items.notes,
                    *(validates.notes if validates else []),
                    *(cache_notes() if pairs is not None else ()),
                ]
            )
        ],
    )
    with ranks.sharing():
        probabilities = _held_out_predictions(trained, train, validation)
    decision = None if validation is None else ranks.once(lambda: fit_rule(probabilities, validation))
    if decision is not None and (mirror := trained.rule.mirror()) is not None:
        decision = decision.mirrored(mirror)
    about = About.of(train, validation, probabilities)
    if validation is not None:
        about.more = trained.rule.held_out_figures(probabilities, validation)
    trained.task = described.model_copy(update={"decision": decision, "about": about})
    return trained


def comparable(training: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by which two trainings are told apart: how many processes share a batch makes no difference."""
    arguments = {**DEFAULTS, **training}
    items = int(arguments.pop("per_device_train_batch_size"))
    split = (training.get("accelerator_config") or {}).get("split_batches", False)
    for name in ("accelerator_config", "fsdp", "fsdp_config", "deepspeed"):
        arguments.pop(name, None)
    return {**arguments, "items in a batch of all processes": items * (1 if split else launcher.processes())}


def _held_out_predictions(
    trained: TrainedAdapter, train: Annotations, held_out: Annotations | None
) -> np.ndarray:
    """Distributions of the held-out items [I, C]; of one training item where there are none, to see that it predicts.

    Raises:
        TrainingError: weights or predictions are no numbers.
    """
    check_weights(trained.model)
    items = train.items[:1] if held_out is None else held_out.items
    try:
        return predict_distribution(trained, items)
    except ModelError as error:
        raise TrainingError(
            "the training has diverged: predictions are not finite numbers.",
            fix="Lower learning_rate, or look for broken inputs; there is no adapter to save.",
        ) from error


def _divided(
    annotations: Annotations, validation: Annotations | float | None, training: Mapping[str, Any]
) -> tuple[Annotations, Annotations | None]:
    """What trains and what is held out, by the rule of `dcpc train` where a share of the items is asked for."""
    if isinstance(validation, float | int):
        division = hold_out(annotations, validation, int(training.get("seed", 0)))
        return division.train, division.validation
    if validation is not None and validation.labels != annotations.labels:
        raise UsageError(
            f"the held-out judgements have the labels {', '.join(validation.labels)}, those to train on "
            f"{', '.join(annotations.labels)}.",
            fix="Read both with the same labels=[...].",
        )
    return annotations, validation


def _dtype_name(dtype: Any) -> str | None:
    return None if dtype is None else str(dtype).removeprefix("torch.")


def run_trainer(trainer: DCPCTrainer, resume: bool | str, progress: bool) -> float:
    """Train, with a progress bar or without one; the seconds that it took."""
    trainer.remove_callback(PrinterCallback)
    bars = _QuietProgress()
    if progress:
        trainer.remove_callback(ProgressCallback)
        trainer.add_callback(bars)
    started = time.perf_counter()
    with quiet_libraries(), closing(bars):
        trainer.train(resume_from_checkpoint=resume)
    return time.perf_counter() - started


def _rate_note(carrier: Carrier, rate: float) -> list[str]:
    """What was picked by size."""
    if rate != RATE_OF_FEW:
        return []
    return [
        f"learning_rate is {rate:g}, which suits few items; from {FEW_ITEMS:,} on it would be "
        f"{carrier.learning_rate:g}. --set learning_rate=... names another."
    ]


def _arguments(
    carrier: Carrier, training: Mapping[str, Any], folder: Path, validates: bool, progress: bool
) -> DCPCTrainingArguments:
    settings = {**DEFAULTS, "output_dir": str(folder), "save_strategy": "epoch", "save_total_limit": 1}
    settings |= {"learning_rate": carrier.learning_rate, "preset": carrier.preset}
    if validates:
        settings |= {
            "eval_strategy": "epoch",
            "load_best_model_at_end": True,
            "metric_for_best_model": "eval_loss",
        }
    settings |= {"disable_tqdm": not progress, **checked_arguments(training)}
    if settings.get("eval_strategy") == "no" and "load_best_model_at_end" not in training:
        settings["load_best_model_at_end"] = False  # without an evaluation there is no best epoch
    arguments = made_arguments(settings)
    arguments.objective_config()  # a wrong objective must not wait for the model to load
    return arguments


def _check_ray(arguments: DCPCTrainingArguments) -> None:
    if not arguments.objective_config().mined_pairs:
        raise UsageError(
            "--ray mines pairs, and this training compares none that are mined.",
            fix="Leave it out, or train with --set mined_pairs=true.",
        )
    require_ray()  # the base model takes a while to load


def _mined_pairs(
    train: Annotations, arguments: DCPCTrainingArguments, progress: bool, ray: str | None
) -> JudgementPairs | None:
    if not arguments.objective_config().mined_pairs:
        return None
    with joined(ray) as cluster:
        return mine_judgement_pairs(train, cache=embedding_cache(), progress=progress, cluster=cluster)


def _annotators_of(model: nn.Module, train: Annotations, rule: LearningRule | None) -> list[str]:
    """Annotator ids in the order of the numbers that training gives them."""
    known = (rule or LearningRule()).annotator_names(model)
    return known or ([] if rule is None or dcpc_tuner(model) is not None else list(train.annotators))


class _QuietProgress(ProgressCallback):
    """The Trainer's progress bar, without a line per log entry: the summary at the end says what matters."""

    def on_log(self, *args: Any, **kwargs: Any) -> None:
        pass

    def close(self) -> None:
        """End the bars of a training that did not end: what is said about it must come after them."""
        for bar in (self.prediction_bar, self.training_bar):
            if bar is not None:
                bar.close()
