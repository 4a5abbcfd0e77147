"""The model that a training starts with: the base model, inside it what trains, and demonstrations in front."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dcpc.adapter import quiet_libraries
from dcpc.data import Annotations
from dcpc.errors import ModelError, UsageError
from dcpc.tasks import TaskShape
from dcpc.training.arguments import DCPCTrainingArguments
from dcpc.training.carriers import Carrier
from dcpc.training.demonstrations import advice, are_usual, demonstration_ids, said, start_prefix
from dcpc.training.sharding import Sharding
from dcpc.weights import base_fingerprint


@dataclass(frozen=True)
class Built:
    """A model that a training may start with.

    Attributes:
        model: the base model with what is to be trained.
        tokenizer: the base model's.
        fingerprint: hash of the base model's weights, None where it has none.
        notes: what was chosen for the user, or could be, one sentence each.
    """

    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    fingerprint: str | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Blueprint:
    """All that a model is built from; every call of `build` makes another one.

    Attributes:
        carrier: what trains.
        settings: of the carrier.
        shape: the task.
        base_model: name or path.
        options: for the base model's `from_pretrained`.
        train: judgements, with the labels and annotators to be known, and the demonstrations.
        arguments: of the training.
        max_length: tokens after which texts are cut.
        sharding: how the base model is split among the processes, None where it is not.
    """

    carrier: Carrier
    settings: Mapping[str, Any]
    shape: TaskShape
    base_model: str
    options: Mapping[str, Any]
    train: Annotations
    arguments: DCPCTrainingArguments
    max_length: int | None
    sharding: Sharding | None = None

    def build(self, *, usual: bool = True) -> Built:
        """The base model with what is to be trained.

        Args:
            usual: whether a training that names no number of demonstrations may have some.

        Raises:
            UsageError: the settings do not fit together or the base model.
            ModelError: the base model cannot be loaded or adapted.
        """
        arguments, preset = self.arguments, self.arguments.preset
        base, tokenizer = self.shape.load(self.base_model, self.train.labels, **self.options)
        fingerprint, of_base = base_fingerprint(base), list(base.parameters())
        usual = usual and arguments.demonstrations is None
        usual = usual and are_usual(self.carrier, preset, self.settings, self.shape, base)
        shown: list[list[int]] = []
        if usual or arguments.demonstrations:
            reads = self.shape.bound(self.train, tokenizer)
            shown = demonstration_ids(reads, base, tokenizer, self.train, arguments, self.max_length)
        ids = [token for each in shown for token in each]
        fields = {**(self.carrier.prefix_fields(len(ids), preset) if ids else {}), **self.settings}
        try:
            with quiet_libraries():
                model = self._attached(base, fields)
                if ids:
                    start_prefix(model, ids)
        except ModelError:
            if not (usual and ids):
                raise
            return self.build(usual=False)  # not every causal model reads on from a prefix
        if self.sharding is not None:
            self.sharding.split(model, base, of_base)
        chosen = [said(len(shown))] if usual else []
        notes = chosen if ids else advice(model, self.shape)
        return Built(model, tokenizer, fingerprint, tuple(notes))

    def _attached(self, base: PreTrainedModel, settings: Mapping[str, Any]) -> nn.Module:
        try:
            return self.carrier.attach(base, self.train, self.arguments, settings)
        except (ValueError, TypeError, ImportError) as error:
            raise UsageError(
                f"the adapter's settings do not fit: {' '.join(str(error).split())[:300]}",
                fix="Look at --set and the recipe.",
            ) from error
