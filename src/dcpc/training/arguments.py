"""Training arguments: transformers' own, and the objective."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.integrations import get_available_reporting_integrations

from dcpc import launcher, ranks
from dcpc.errors import UsageError
from dcpc.objective import ObjectiveConfig
from dcpc.settings import checked

LEAST: dict[str, int] = {
    "per_device_train_batch_size": 1,
    "per_device_eval_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "save_total_limit": 1,
    "max_steps": -1,
    "seed": 0,
    "data_seed": 0,
    "weight_decay": 0,
    "max_grad_norm": 0,
    "warmup_steps": 0,
    "logging_steps": 0,
    "eval_delay": 0,
    "dataloader_num_workers": 0,
    "demonstrations": 0,
}
"""Least values of training arguments; max_steps is -1 where epochs decide."""

POSITIVE = ("learning_rate", "num_train_epochs", "save_steps", "eval_steps", "adam_epsilon")
"""Training arguments that must be above 0: with 0 nothing would be trained, or nothing would ever be due."""

WITHOUT_EFFECT = {
    "label_smoothing_factor": (0.0, "judgements are learnt as they were given (eq. 13)"),
    "do_train": (False, "a training trains"),
    "do_eval": (False, "validation items decide whether epochs are compared"),
    "do_predict": (False, "`dcpc predict` predicts"),
}
"""Arguments of transformers' examples and of its own loss: the value that changes nothing, and why no other does."""

LOGGERS = (
    "tensorboard", "wandb", "mlflow", "trackio", "neptune", "clearml", "codecarbon", "swanlab", "dvclive", "comet_ml",
)  # fmt: skip
"""What `report_to` may name whose package has the same name."""

LARGEST_SEED = 2**32 - 1


def checked_arguments(values: Mapping[str, Any]) -> dict[str, Any]:
    """Training arguments as the types of their fields; see `dcpc.settings.checked`.

    Raises:
        UsageError: if there is no such field, a value is not of its type or out of range, or it would have no effect.
    """
    values = checked(DCPCTrainingArguments, values)
    for name, value in values.items():
        usual, why = WITHOUT_EFFECT.get(name, (value, ""))
        if value != usual:
            raise UsageError(f"`{name}` has no effect here: {why}.", fix="Leave it out.")
        if isinstance(value, int | float):
            _check_range(name, value)
    return values


def made_arguments(settings: dict[str, Any]) -> DCPCTrainingArguments:
    """The arguments of a training from checked settings; on the CPU where bf16 is asked for without an accelerator.

    Raises:
        UsageError: the settings do not fit together, or the machine.
    """
    _check_engine(settings)
    several = launcher.processes() > 1
    if (settings.get("bf16") or several) and not torch.accelerator.is_available():
        settings = {**settings, "use_cpu": True}  # else bf16 is refused there, and processes stay alone
    ranks.join()
    try:
        with warnings.catch_warnings():
            # transformers renames arguments, as gradient_checkpointing, long before the old names go.
            warnings.filterwarnings("ignore", message=".* is deprecated", category=FutureWarning)
            arguments = DCPCTrainingArguments(**settings)
    except (TypeError, ValueError, ImportError, OSError) as error:
        raise UsageError(
            f"the training arguments do not fit: {error}", fix="Look at --set and the recipe."
        ) from error
    if several:
        _check_divides(arguments)
    _check_loggers(arguments)
    return arguments


def _check_loggers(arguments: DCPCTrainingArguments) -> None:
    available = get_available_reporting_integrations()
    missing = [name for name in arguments.report_to or () if name in LOGGERS and name not in available]
    if missing:
        raise UsageError(
            f"report_to={missing[0]} needs the package {missing[0]}, which is not installed.",
            fix=f"pip install {missing[0]}",
        )


def _check_engine(settings: Mapping[str, Any]) -> None:
    """Raises UsageError for engines that are not carried out; `train_adapter` carries them out itself."""
    for engine, field_name in (("DeepSpeed", "deepspeed"), ("FSDP", "fsdp")):
        if settings.get(field_name) or launcher.engine() == engine:
            raise UsageError(
                f"{engine} splits a training among processes, and that is not carried out here.",
                fix="Start it without an engine: torchrun, or accelerate launch --multi_gpu.",
            )


def items_per_batch(arguments: TrainingArguments) -> int:
    """Items that all ranks together take through the model at a time."""
    if arguments.accelerator_config.split_batches:  # the size that is set is that of the whole batch
        return arguments.train_batch_size
    return arguments.train_batch_size * arguments.world_size


def _check_divides(arguments: TrainingArguments) -> None:
    """Raises UsageError where a batch that is to be split does not go round."""
    size, n_ranks = arguments.train_batch_size, arguments.world_size
    if arguments.accelerator_config.split_batches and size % n_ranks:
        raise UsageError(
            f"with split_batches, {n_ranks} processes share batches of {size} items, which does not come out even.",
            fix=f"Set per_device_train_batch_size to a multiple of {n_ranks}, or start another number of processes.",
        )


def _check_range(name: str, value: float) -> None:
    if value < LEAST.get(name, value):
        raise UsageError(f"`{name}` must be at least {LEAST[name]}, found {value}.")
    if name in POSITIVE and value <= 0:
        raise UsageError(f"`{name}` must be above 0, found {value}.")
    if name in ("seed", "data_seed") and value > LARGEST_SEED:
        raise UsageError(f"`{name}` must be at most {LARGEST_SEED}, found {value}.")
    if name in ("adam_beta1", "adam_beta2") and not 0 <= value < 1:
        raise UsageError(f"`{name}` must lie in [0, 1), found {value}.")
    if name == "max_steps" and value == 0:
        raise UsageError("`max_steps` of 0 would train nothing.", fix="Give -1 to let epochs decide.")


@dataclass
class DCPCTrainingArguments(TrainingArguments):
    """`transformers.TrainingArguments` with the objective of equation 13.

    Args:
        preset: `default`, `paper` or `none`; see `dcpc.objective.ObjectiveConfig.preset`.
        objective: single fields of the preset to set differently, e.g. `{"ambiguity_weight": 0.5}`.
        learning_rate: default 1e-3, as adapters need; small encoders take 1e-2.
        demonstrations: training items, with a judgement each, whose keys and values a prefix starts from, see
            `dcpc.training.demonstrations`; `train_adapter` reads them. None lets it choose: the preset `default` has
            12, or as many as fit, where a causal model answers in label words; all else has none.
        seed: also fixes which judgements, demonstrations and noise are drawn.
    """

    preset: str = field(default="default", metadata={"help": "Objective: default, paper or none."})
    objective: dict | None = field(
        default=None, metadata={"help": "Fields of the objective to set differently."}
    )
    demonstrations: int | None = field(
        default=None,
        metadata={"help": "Judged training items that a prefix starts from, as read by the base model."},
    )
    learning_rate: float = field(default=1e-3, metadata={"help": "Peak learning rate."})
    remove_unused_columns: bool = field(default=False, metadata={"help": "The collator needs every field."})
    fsdp: bool | str | None = field(
        default=None, metadata={"help": "Split the frozen base model among the processes, by FSDP2."}
    )
    report_to: str | list[str] | None = field(default="none", metadata={"help": "Where to log to."})

    def objective_config(self) -> ObjectiveConfig:
        """The preset with its changes.

        Raises:
            UsageError: if there is no such preset or field, or a value makes no sense.
        """
        return ObjectiveConfig.preset(self.preset, **(self.objective or {}))
