"""Carriers: which tensors of a base model train, and what a training has to know about them.

Everything that `train_adapter` trains goes through this one protocol: DCPC's own adapter, LoRA and P-Tuning v2 for a
first comparison, and whatever somebody else hands it as an object.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import peft
from torch import Tensor, nn
from transformers import PreTrainedModel, TrainerCallback

from dcpc.data.annotations import Annotations
from dcpc.errors import UsageError
from dcpc.models import SentenceClassifier, peft_task_type
from dcpc.models.layers import attention_linears, head_modules
from dcpc.names import check_name
from dcpc.objective import ObjectiveConfig
from dcpc.training.arguments import DCPCTrainingArguments, items_per_batch
from dcpc.tuner import DCPCConfig
from dcpc.tuner.config import PRESETS, preset_fields


class Carrier(ABC):
    """What trains in a base model. A subclass says how it is attached, and overrides what else is special.

    Attributes:
        name: as in messages and in an adapter's `task.json`.
        learning_rate: peak learning rate that suits small encoders; large base models want lower ones.
        preset: objective that it is trained with unless the settings name one; `none` is plain cross-entropy.
        no_decay: parts of names of tensors whose neutral value is not 0: weight decay would take what they scale
            away.
    """

    name: str
    learning_rate: float = 1e-3
    preset: str = "none"
    no_decay: Sequence[str] = ()

    @abstractmethod
    def attach(
        self,
        base: PreTrainedModel,
        train: Annotations,
        arguments: DCPCTrainingArguments,
        settings: Mapping[str, Any],
    ) -> nn.Module:
        """The base model with what trains; everything else is frozen.

        What it returns can be saved as an adapter where it is a `PeftModel`.

        Args:
            base: a classifier with one output per label, or a language model; may be changed in place.
            train: the judgements that will train it.
            arguments: of the training, with the objective; `total_steps` gives its length.
            settings: the user's: fields of the PEFT configuration, or what else the carrier takes.

        Raises:
            UsageError, ValueError, TypeError: settings that do not fit together or do not fit the base model.
        """

    def prefix_fields(self, length: int, preset: str) -> dict[str, Any]:
        """Settings by which it has a prefix that demonstrations can fill.

        Args:
            length: its positions.
            preset: the preset that is trained.

        Raises:
            UsageError: it has no prefix.
        """
        raise UsageError(
            f"demonstrations fill a prefix, and {self.name} has none.",
            fix="Leave demonstrations out, or train with --method dcpc or p-tuning-v2.",
        )

    def rate_for(self, model: nn.Module, n_items: int) -> float:
        """The learning rate of a training that names none.

        Args:
            model: what `attach` gave.
            n_items: training items.
        """
        return self.learning_rate

    def callbacks(self, model: nn.Module) -> list[TrainerCallback]:
        """What has to happen during a training of the attached model, beside the steps; by default nothing."""
        return []

    def penalties(self, model: nn.Module) -> dict[str, Tensor]:
        """Scalars that are added to every batch's loss, by the name that the log gives them; by default none."""
        return {}


def gives_rewards(base: PreTrainedModel) -> bool:
    """Whether a classifier has one output, the reward of its input: there are two labels or more, and none of them is
    its own, so that annotators act outside of the adapter.
    """
    return not base.can_generate() and base.config.num_labels == 1


def total_steps(train: Annotations, arguments: DCPCTrainingArguments) -> int:
    """Optimizer steps of a whole training."""
    if arguments.max_steps > 0:
        return arguments.max_steps
    batches = math.ceil(train.n_items / items_per_batch(arguments))
    return math.ceil(math.ceil(batches / arguments.gradient_accumulation_steps) * arguments.num_train_epochs)


def adapter_fields(preset: str, objective: ObjectiveConfig, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `DCPCConfig`: those of a preset, the correction module where it is needed, and changes to both."""
    needed = objective.needs_correction or changes.get("annotator_mode") == "prefix"
    correction = {"correction": True} if needed else {}
    return preset_fields(preset if preset in PRESETS else "default", {**correction, **changes})


FEW_ITEMS, RATE_OF_FEW = 1_000, 6e-3
"""Below so many items a training takes few steps, and wants larger ones (docs/research.md, rows 38 and 41)."""
SMALL_BASE = 100_000_000
"""Parameters of base models on which that was measured; larger ones want lower rates."""
RATE_BEHIND_DEMONSTRATIONS = 1e-3
"""Where a carrier trains behind a prefix that stays: a training that starts as in-context learning has less to learn,
and validation judgements found 3e-3 too much (docs/research.md, row 46)."""


class DCPCCarrier(Carrier):
    """DCPC's adapter, of the preset that the objective is of."""

    name, learning_rate, preset = "dcpc", 3e-3, "default"

    def prefix_fields(self, length: int, preset: str) -> dict[str, Any]:
        """A prefix that is read as a part of the text. It trains where it is the preset's carrier (`paper`)."""
        train = PRESETS.get(preset, PRESETS["default"])["num_virtual_tokens"] > 0
        return {"num_virtual_tokens": length, "merge": "concat", "gate": False, "train_prefix": train}

    def rate_for(self, model: nn.Module, n_items: int) -> float:
        """Twice as high for bottlenecks in a small classifier that sees few items, a third behind demonstrations."""
        assert isinstance(model, peft.PeftModel)  # what `attach` gives
        base, own = model.get_base_model(), model.active_peft_config
        if own.num_virtual_tokens and not own.train_prefix:
            return RATE_BEHIND_DEMONSTRATIONS
        small = sum(each.numel() for each in base.parameters()) < SMALL_BASE
        measured = bool(own.bottleneck) and small and not gives_rewards(base)
        return RATE_OF_FEW if measured and n_items < FEW_ITEMS else self.learning_rate

    def attach(
        self,
        base: PreTrainedModel,
        train: Annotations,
        arguments: DCPCTrainingArguments,
        settings: Mapping[str, Any],
    ) -> nn.Module:
        """The base model inside a PEFT model with `DCPCConfig`, with an effect of every annotator."""
        # A single annotator cannot be told from the consensus.
        annotators = list(train.annotators) if len(train.annotators) > 1 else None
        own: dict[str, Any] = {
            "task_type": peft_task_type(base),
            "labels": list(train.labels),
            "annotators": annotators,
        }
        if isinstance(base, SentenceClassifier):
            own["modules_to_save"] = ["classifier"]
        if gives_rewards(base):
            own |= {"labels": None, "annotators": None, "annotator_mode": "none", "readout": False}
        fields = adapter_fields(arguments.preset, arguments.objective_config(), {**own, **settings})
        return peft.get_peft_model(base, DCPCConfig(**fields))


class PeftCarrier(Carrier):
    """A method of PEFT, with its classification head trained in full. A subclass gives the configuration."""

    @abstractmethod
    def config(self, base: PreTrainedModel, steps: int, **settings: Any) -> peft.PeftConfig:
        """The configuration for a training of so many steps; `settings` override what the method chooses itself."""

    def checked_config(
        self, base: PreTrainedModel, labels: Sequence[str], steps: int, settings: Mapping[str, Any]
    ) -> peft.PeftConfig:
        """The configuration: a classifier's head is trained in full and saved, a language model's stays as it is.

        Raises:
            UsageError: a field that the configuration does not have, or a head without one output per label.
            ModelError: the model has no layers that the method could act on.
        """
        if base.can_generate():
            shared: dict[str, Any] = {"task_type": peft_task_type(base)}
        elif (outputs := base.config.num_labels) == len(labels) or gives_rewards(base):
            shared = {"task_type": peft.TaskType.SEQ_CLS, "modules_to_save": head_modules(base)}
        else:
            raise UsageError(
                f"the head of {type(base).__name__} has {outputs} outputs for {len(labels)} labels",
                fix=f"Load the base model with num_labels={len(labels)}.",
            )
        try:
            return self.config(base, steps, **{**shared, **settings})
        except TypeError as error:
            raise UsageError(f"{self.name} does not take these settings: {error}") from error

    def attach(
        self,
        base: PreTrainedModel,
        train: Annotations,
        arguments: DCPCTrainingArguments,
        settings: Mapping[str, Any],
    ) -> nn.Module:
        """The base model inside a PEFT model."""
        steps = total_steps(train, arguments)
        return peft.get_peft_model(base, self.checked_config(base, train.labels, steps, settings))


class LoraCarrier(PeftCarrier):
    """LoRA (Hu et al. 2022) on all linear layers of the attention modules: rank 8, α 16, dropout 0.1."""

    name = "lora"
    no_decay = ("lora_magnitude_vector",)  # of DoRA, which is a setting of it

    def config(self, base: PreTrainedModel, steps: int, **settings: Any) -> peft.PeftConfig:
        """The configuration."""
        usual = {"r": 8, "lora_alpha": 16, "lora_dropout": 0.1, "target_modules": attention_linears(base)}
        return peft.LoraConfig(**(usual | settings))


class PrefixCarrier(PeftCarrier):
    """P-Tuning v2 (Liu et al. 2022): 16 free key/value positions in every layer, no projection."""

    name, learning_rate = "p-tuning-v2", 1e-2

    def prefix_fields(self, length: int, preset: str) -> dict[str, Any]:
        """Its only form."""
        return {"num_virtual_tokens": length}

    def config(self, base: PreTrainedModel, steps: int, **settings: Any) -> peft.PeftConfig:
        """The configuration."""
        return peft.PrefixTuningConfig(**({"num_virtual_tokens": 16, "prefix_projection": False} | settings))


CARRIERS: dict[str, Carrier] = {
    carrier.name: carrier for carrier in (DCPCCarrier(), LoraCarrier(), PrefixCarrier())
}
"""Carriers that have a name in `dcpc train --method`."""


def carrier_of(method: str | Carrier) -> Carrier:
    """The carrier of that name; a carrier itself.

    Raises:
        UsageError: an unknown name, with the nearest ones.
    """
    if isinstance(method, Carrier):
        return method
    check_name(method, CARRIERS, "method")
    return CARRIERS[method]
