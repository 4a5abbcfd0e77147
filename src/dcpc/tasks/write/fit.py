"""From written replies to a trained adapter: what `dcpc train --task write` calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback, set_seed

from dcpc.adapter import quiet_libraries
from dcpc.data.splits import Division, by_split
from dcpc.errors import DataError, ModelError, UsageError
from dcpc.fit import run_trainer
from dcpc.models import load_language_model, located
from dcpc.tasks.write.adapter import WritingAdapter, WritingTask
from dcpc.tasks.write.batches import PackingCollator, ReplyCollator, ReplyDataset
from dcpc.tasks.write.loss import writers_act, writers_of
from dcpc.tasks.write.packing import why_not_packed
from dcpc.tasks.write.prompts import PromptFormat
from dcpc.tasks.write.replies import Replies
from dcpc.tasks.write.start import start_styles
from dcpc.tasks.write.training import WritingTrainer
from dcpc.training.arguments import DCPCTrainingArguments, checked_arguments, made_arguments
from dcpc.training.best import BestWeights
from dcpc.tuner import DCPCConfig
from dcpc.weights import base_fingerprint

METHODS = ("dcpc", "lora")
"""DCPC, with writers acting through styles; or PEFT's LoRA, one for all writers."""

MAX_LENGTH = 1024
"""Tokens of prompt and reply together, unless said otherwise."""

LEARNING_RATES = {"dcpc": 1e-3, "lora": 1e-3}

TRAINING: dict[str, Any] = {
    "num_train_epochs": 2,
    "per_device_train_batch_size": 8,
    "per_device_eval_batch_size": 8,
    "warmup_steps": 0.1,
    "logging_steps": 10,
}
"""Training arguments that differ from transformers' defaults."""

ADAPTER: dict[str, Any] = {
    "num_virtual_tokens": 0,
    "rank": 8,
    "correction": True,
    "annotator_mode": "prefix",
    "readout": False,
}
"""Fields of `DCPCConfig`: low-rank updates of the attention, gated by each writer's mixture of styles."""

LORA: dict[str, Any] = {"r": 8, "lora_alpha": 16}


def train_writers(
    train: Replies,
    validation: Replies | None = None,
    *,
    base_model: str,
    method: str = "dcpc",
    adapter: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    max_length: int = MAX_LENGTH,
    system: str | None = None,
    packing: bool = False,
    checkpoints: str | Path | None = None,
    resume: bool | str | Path = False,
    progress: bool = True,
    trust_remote_code: bool = False,
    base_options: Mapping[str, Any] | None = None,
    callbacks: Sequence[TrainerCallback] = (),
) -> WritingAdapter:
    """Train an adapter on replies of several writers.

    Args:
        train: replies to learn from.
        validation: held-out replies: the epoch that predicts them best is kept. None keeps the last.
        base_model: `smollm2`, a Hugging Face id, or a local path of a causal language model.
        method: `dcpc`, or `lora` for one style for all writers.
        adapter: fields of the adapter's PEFT configuration.
        training: fields of `DCPCTrainingArguments`; with `bf16` also replies are generated under that autocast.
        max_length: tokens of prompt and reply together; at most what the base model can read.
        system: system prompt for chats that have none.
        packing: lay several replies of a writer into one row, where the base model keeps them apart.
        checkpoints: folder for checkpoints; None writes none.
        resume: go on from this checkpoint; True for the last one in `checkpoints`.
        progress: show progress bars.
        trust_remote_code: run modelling code that the base model brings.
        base_options: for the base model's `from_pretrained`.
        callbacks: further callbacks of the Trainer.

    Raises:
        UsageError: settings that do not fit together, or `resume` without `checkpoints`.
        DataError: a chat that the chat template refuses, or that does not fit into `max_length`.
        ModelError: if the base model cannot be loaded, cannot write, or cannot be adapted.
        TrainingError: if the loss stops being a number, or a trainable tensor gets no gradient.
    """
    if method not in METHODS:
        raise UsageError(f"there is no method `{method}` for writing.", fix=f"Methods: {', '.join(METHODS)}.")
    if checkpoints is None and resume:
        raise UsageError("there are no checkpoints to go on from.", fix="Say where they are: `checkpoints`.")
    with ExitStack() as stack:
        folder = checkpoints or stack.enter_context(TemporaryDirectory(prefix="dcpc-"))
        arguments = _arguments(
            method, training or {}, Path(folder), validation is not None, checkpoints is not None, progress
        )
        set_seed(arguments.seed)
        base, tokenizer = _base(base_model, trust_remote_code, base_options or {})
        fingerprint = base_fingerprint(base)
        format = PromptFormat(tokenizer, _context(base, max_length), system)
        model = _adapted(method, base, train, adapter or {})
        tuner = writers_act(model)
        if tuner is not None:
            start_styles(tuner, train, arguments.seed)
        index = {name: number for number, name in enumerate(writers_of(model))}
        data = ReplyDataset(train, format, index)
        notes = format.cuts.notes(format.max_length)
        held_out = None if validation is None else ReplyDataset(validation, format, index)
        pad_id = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        collators: tuple[ReplyCollator | PackingCollator, ReplyCollator]
        collators = (ReplyCollator(pad_id), ReplyCollator(pad_id))
        if packing:
            why = why_not_packed(model)
            notes += [f"Replies are padded, not packed: {why}."] if why else []
            collators = collators if why else (PackingCollator(pad_id), collators[1])
        if validation is not None and checkpoints is None:
            callbacks = [*callbacks, BestWeights()]  # the best epoch is kept in memory
        trainer = WritingTrainer(model, arguments, data, held_out, collators, callbacks=list(callbacks))
        seconds = run_trainer(trainer, resume if isinstance(resume, bool) else str(resume), progress)
    task = WritingTask(
        base_model=located(base_model),
        method=method,
        max_length=format.max_length,
        system=system,
        writers=list(train.writers),
        base_sha256=fingerprint,
    )
    return WritingAdapter(
        model.eval(),
        tokenizer,
        task,
        seconds,
        trainer.state.log_history,
        tuple(notes),
    )


def hold_out_replies(replies: Replies, share: float, seed: int) -> Division[Replies]:
    """Divide replies by prompt into training and validation, as `dcpc.training.holdout` divides judgements.

    A `split` column decides, where there is one; else a share of the prompts is drawn.

    Raises:
        DataError: no reply to train on is left.
    """
    division = by_split(replies, "prompts")
    if division.validation is not None:
        return division
    replies = division.train
    prompts = replies.table["item_id"].unique()
    n_held = round(share * len(prompts))
    if n_held == 0:
        return division
    if n_held == len(prompts):
        raise DataError(
            f"{len(prompts)} prompts cannot be divided into {share:.0%} for validation and the rest.",
            where=replies.source,
            fix="Add prompts, or switch validation off with --set validation_share=0.",
        )
    held = np.random.default_rng(seed).permutation(prompts)[:n_held]
    is_held = replies.table["item_id"].isin(held).to_numpy()
    return Division(replies.where(~is_held), replies.where(is_held), division.left_out)


def adapter_fields(method: str, writers: Sequence[str], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the PEFT configuration: the defaults of a method, and changes to them.

    A carrier that is named in the changes takes the place of the default one.
    """
    if method == "lora":
        return {**LORA, **changes}
    fields = dict(ADAPTER)
    if "rank" not in changes and (changes.get("num_virtual_tokens") or changes.get("bottleneck")):
        fields["rank"] = 0
    if len(writers) > 1:
        fields["annotators"] = list(writers)
    else:  # a single writer cannot be told from everybody
        fields |= {"correction": False, "annotator_mode": "none"}
    return {**fields, **changes}


def _adapted(method: str, base: PreTrainedModel, train: Replies, changes: Mapping[str, Any]) -> PeftModel:
    kind = LoraConfig if method == "lora" else DCPCConfig
    try:
        config = kind(task_type="CAUSAL_LM", **adapter_fields(method, train.writers, changes))
        with quiet_libraries():
            return get_peft_model(base, config)
    except (ValueError, TypeError, ImportError) as error:
        raise UsageError(
            f"the adapter's settings do not fit: {' '.join(str(error).split())[:300]}",
            fix="Look at --set and the recipe.",
        ) from error


def _base(
    name: str, trust_remote_code: bool, options: Mapping[str, Any]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    base, tokenizer = load_language_model(name, trust_remote_code=trust_remote_code, **options)
    if base.config.is_encoder_decoder:
        raise ModelError(
            f"{type(base).__name__} is an encoder-decoder, and writing is for causal language models.",
            where=name,
            fix="Use a causal language model, as `smollm2`.",
        )
    return base, tokenizer


def _context(base: PreTrainedModel, max_length: int) -> int:
    """`max_length`, but no more than the base model has positions for."""
    positions = getattr(base.config.get_text_config(), "max_position_embeddings", None)
    return max_length if positions is None else min(max_length, positions)


def _arguments(
    method: str, training: Mapping[str, Any], folder: Path, validates: bool, saves: bool, progress: bool
) -> DCPCTrainingArguments:
    settings: dict[str, Any] = {**TRAINING, "output_dir": str(folder), "save_total_limit": 1}
    settings |= {"learning_rate": LEARNING_RATES[method], "save_strategy": "epoch" if saves else "no"}
    if method != "dcpc":
        settings["preset"] = "none"
    if validates:
        settings["eval_strategy"] = "epoch"
        settings |= {"load_best_model_at_end": saves, "metric_for_best_model": "eval_loss"}
    settings |= {"disable_tqdm": not progress, **checked_arguments(training)}
    arguments = made_arguments(settings)
    objective = arguments.objective_config()
    if objective.uses_pairs or objective.target_correction > 0:
        raise UsageError(
            "terms over pairs, and target correction, compare distributions over labels, which replies do not have.",
            fix="Write with the preset default, or none.",
        )
    if arguments.demonstrations:
        raise UsageError(
            "demonstrations are prompts with labels or candidates as their answers, which replies are not.",
            fix="Leave demonstrations out.",
        )
    return arguments
