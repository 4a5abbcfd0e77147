"""What a method of the benchmark is, what it shares with the others, and how it is trained once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from dcpc.data.annotations import Annotations
from dcpc.training.precision import computes_bf16
from dcpc.training.rule import LearningRule
from dcpc_bench.methods.linear_probe import fit_linear_probe
from dcpc_bench.methods.registry import check_needs
from dcpc_bench.rig.fitted import Fitted, FittedAdapter, FittedProbe, embedded
from dcpc_bench.rig.grids import Grid
from dcpc_bench.rig.suite import Backbone, Training

Setting = Mapping[str, Any]
"""One point of a method's grid."""


class TrainingSettings(Training):
    """What all methods of a benchmark share: the suite's `training`, and its `backbone`."""

    backbone: Backbone = "lora"

    @property
    def autocasts(self) -> bool:
        """Whether trainings on this machine run under bfloat16."""
        return self.bf16 and computes_bf16()

    @property
    def precision(self) -> str:
        """Of trainings on this machine."""
        return "bf16" if self.autocasts else "float32"


RuleOf = Callable[[TrainingSettings, Setting, int], LearningRule]
"""Makes a learning rule from what is shared, the method's setting, and the seed."""


@dataclass(frozen=True)
class BenchmarkMethod:
    """A method that can be trained and compared.

    Attributes:
        name: as in suites and tables.
        source: authors and year.
        carrier: what trains: one of `dcpc_bench.methods.carriers.CARRIERS`, `dcpc`, `backbone` for that of the
            suite, or `probe`.
        what: in one line, what sets it apart.
        rule: makes its learning rule; None for the objective of `training` (for other carriers than DCPC: plain
            cross-entropy, where each item weighs the same).
        grid: values of every searched axis, from weak to strong.
        training: fields of `DCPCTrainingArguments` that belong to the method.
        adapter: fields of the adapter's configuration that belong to it.
        needs_annotators: it has to know who judged, and needs two of them.
        needs_overlap: some items need two judgements or more.
        searched_as: method whose search chooses its setting: a method without one of its parts is trained as the
            whole; None for a search of its own.
    """

    name: str
    source: str
    carrier: str
    what: str
    rule: RuleOf | None = None
    grid: Grid = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    adapter: Mapping[str, Any] = field(default_factory=dict)
    needs_annotators: bool = False
    needs_overlap: bool = False
    searched_as: str | None = None

    def check(self, train: Annotations) -> None:
        """Make sure that the method can be trained on these judgements.

        Raises:
            UsageError: they lack annotator ids, a second annotator, or items that were judged twice.
        """
        check_needs(self.name, train, annotators=self.needs_annotators, overlap=self.needs_overlap)

    def train(
        self,
        train: Annotations,
        validation: Annotations,
        settings: TrainingSettings,
        setting: Setting,
        seed: int,
    ) -> Fitted:
        """Train once.

        Args:
            train: judgements to train on.
            validation: noisy judgements of other items, which choose the epoch.
            settings: what all methods share.
            setting: a point of the method's grid; axes that are left out keep their defaults.
            seed: of starting weights, order and noise.

        Raises:
            UsageError: the method does not fit the judgements.
            TrainingError: the loss diverged.
        """
        self.check(train)
        torch.set_num_threads(settings.threads)
        if self.carrier == "probe":
            return self._fit_probe(train, validation, settings, seed)
        return self._train_carrier(train, validation, settings, setting, seed)

    def _fit_probe(
        self, train: Annotations, validation: Annotations, settings: TrainingSettings, seed: int
    ) -> Fitted:
        embed = partial(embedded, encoder=settings.base_model, max_length=settings.max_length)
        probe = fit_linear_probe(
            embed(train.items), train, annotator_effects=self.needs_annotators, seed=seed
        )
        annotators = train.annotators if self.needs_annotators else None
        return FittedProbe(probe, embed, validation, annotators)

    def _train_carrier(
        self,
        train: Annotations,
        validation: Annotations,
        settings: TrainingSettings,
        setting: Setting,
        seed: int,
    ) -> Fitted:
        from dcpc.fit import train_adapter
        from dcpc_bench.methods.carriers import CARRIERS

        carrier = settings.backbone if self.carrier == "backbone" else self.carrier
        adapter = {**BUDGET.get(carrier, {}), **self.adapter}
        arguments = {name: setting[name] for name in ("learning_rate", "weight_decay") if name in setting}
        trained = train_adapter(
            train,
            validation,
            base_model=settings.base_model,
            method=CARRIERS[carrier],
            adapter=adapter,
            training={
                **self.training,
                **arguments,
                "seed": seed,
                "num_train_epochs": settings.epochs,
                "per_device_train_batch_size": settings.batch_size,
                "bf16": settings.autocasts,
                "train_sampling_strategy": "group_by_length" if settings.group_by_length else "random",
            },
            rule=None if self.rule is None else self.rule(settings, setting, seed),
            base_options={} if settings.attention is None else {"attn_implementation": settings.attention},
            max_length=settings.max_length,
            progress=False,
        )
        return FittedAdapter(trained)


BUDGET: dict[str, dict[str, Any]] = {
    "lora": {"r": 4, "lora_alpha": 8},
    "dora": {"r": 4, "lora_alpha": 8},
    "adalora": {"init_r": 6, "target_r": 4, "lora_alpha": 8},
}
"""Ranks at which low-rank adapters train as many numbers as sixteen positions of P-Tuning v2, 2·16 vectors of the
hidden width per layer, and as bottlenecks of width sixteen."""
