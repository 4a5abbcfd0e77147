"""Every method of the benchmark under its name: carrier, learning rule, grid, and what it needs of the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
import torch

from dcpc.baselines.heads import AnnotatorEmbeddings, AnnotatorHeads, CrowdLayer
from dcpc.baselines.probe import fit_linear_probe
from dcpc.baselines.registry import BASELINES, check_needs
from dcpc.baselines.rules import (
    AnnotatorHead,
    CleanRouting,
    CoTeaching,
    EarlyLearning,
    GeneralisedCrossEntropy,
    ItemTargets,
    JudgementRows,
    NeighbourConsistency,
    SimilarInputs,
)
from dcpc.baselines.rules.targets import Targets, unweighted
from dcpc.baselines.targets import crowdlab, dawid_skene, majority_vote, soft_labels
from dcpc.benchmark.fitted import Fitted, FittedAdapter, FittedProbe, embedded
from dcpc.benchmark.grids import LOW_RANK, Grid, carrier_grid, rule_grid
from dcpc.data.annotations import Annotations
from dcpc.training.precision import computes_bf16
from dcpc.training.rule import LearningRule

Backbone = Literal["lora", "p-tuning-v2"]
Setting = Mapping[str, Any]
"""One point of a method's grid."""


@dataclass(frozen=True)
class TrainingSettings:
    """What all methods of a benchmark share.

    Attributes:
        base_model: `minilm`, a Hugging Face id, or a local path.
        epochs: of training; the one that predicts the validation judgements best is kept.
        batch_size: items per step.
        max_length: tokens after which texts are cut.
        bf16: autocast to bfloat16 where this machine computes in it natively; elsewhere float32.
        attention: implementation, `sdpa` or `eager`; None for transformers' choice.
        group_by_length: draw the items of a training batch from those of similar length, which saves padding.
        threads: of the CPU.
        backbone: PEFT method that carries the learning rules.
    """

    base_model: str = "minilm"
    epochs: float = 5.0
    batch_size: int = 32
    max_length: int = 64
    bf16: bool = False
    attention: str | None = None
    group_by_length: bool = False
    threads: int = 1
    backbone: Backbone = "lora"

    @property
    def autocasts(self) -> bool:
        """Whether trainings on this machine run under bfloat16."""
        return self.bf16 and computes_bf16()


RuleOf = Callable[[TrainingSettings, Setting, int], LearningRule]
"""Makes a learning rule from what is shared, the method's setting, and the seed."""


@dataclass(frozen=True)
class BenchmarkMethod:
    """A method that can be trained and compared.

    Attributes:
        name: as in suites and tables.
        source: authors and year.
        carrier: what trains: one of `dcpc.baselines.carriers.CARRIERS`, `dcpc`, `backbone` for that of the
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
        features = embedded(train.items, settings.base_model)
        probe = fit_linear_probe(features, train, annotator_effects=self.needs_annotators, seed=seed)
        annotators = train.annotators if self.needs_annotators else None
        return FittedProbe(probe, settings.base_model, validation, annotators)

    def _train_carrier(
        self,
        train: Annotations,
        validation: Annotations,
        settings: TrainingSettings,
        setting: Setting,
        seed: int,
    ) -> Fitted:
        from dcpc.training.fit import train_adapter

        carrier = settings.backbone if self.carrier == "backbone" else self.carrier
        adapter = {**BUDGET.get(carrier, {}), **self.adapter}
        if carrier in LOW_RANK:
            adapter["lora_dropout"] = setting.get("dropout", 0.1)
        arguments = {name: setting[name] for name in ("learning_rate", "weight_decay") if name in setting}
        trained = train_adapter(
            train,
            validation,
            base_model=settings.base_model,
            method=carrier,
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


def _crowdlab(settings: TrainingSettings, seed: int, train: Annotations) -> Targets:
    """Consensus labels one-hot, weighed by their quality; the classifier is a cross-validated linear probe."""
    probe = fit_linear_probe(embedded(train.items, settings.base_model), train, seed=seed)
    consensus = crowdlab(train, probe.held_out)
    return Targets(np.eye(train.n_classes)[consensus.classes], consensus.weights)


def _of_votes(target: Callable[[Annotations], np.ndarray]) -> RuleOf:
    return lambda settings, setting, seed: ItemTargets(lambda train: unweighted(target(train)))


def _head(build: Callable[..., Any]) -> RuleOf:
    return lambda settings, setting, seed: AnnotatorHead(build)


def _carriers() -> list[BenchmarkMethod]:
    low_rank, prompts = ("lora", "dora", "adalora"), ("prompt-tuning", "p-tuning-v2")
    names = ("full", *low_rank, "ia3", "bitfit", *prompts, "bottleneck-adapter")
    what = "plain cross-entropy on every judgement"
    return [
        BenchmarkMethod(name, BASELINES[name].source, name, what, grid=carrier_grid(name)) for name in names
    ]


def _on_backbone() -> list[BenchmarkMethod]:
    def method(name: str, what: str, rule: RuleOf, grid: Grid | None = None) -> BenchmarkMethod:
        known = BASELINES[name]
        return BenchmarkMethod(
            name,
            known.source,
            "backbone",
            what,
            rule,
            grid or carrier_grid("lora"),
            needs_annotators=known.needs_annotators,
            needs_overlap=known.needs_overlap,
        )

    return [
        method("majority-vote", "the majority label; ties share", _of_votes(majority_vote)),
        method("soft-labels", "the shares of the votes", _of_votes(soft_labels)),
        method("disaggregated", "every judgement weighs the same", lambda *_: JudgementRows()),
        method("dawid-skene", "posterior of the true label", _of_votes(dawid_skene)),
        method(
            "crowdlab",
            "consensus labels weighed by their quality",
            lambda shared, _, seed: ItemTargets(partial(_crowdlab, shared, seed)),
        ),
        method(
            "gce",
            "generalised cross-entropy",
            lambda _, setting, seed: GeneralisedCrossEntropy(setting.get("q", 0.7)),
            rule_grid("q", (0.1, 0.4, 0.7)),
        ),
        method(
            "elr",
            "held to early running predictions",
            lambda _, setting, seed: EarlyLearning(setting.get("strength", 1.0)),
            rule_grid("strength", (0.3, 1.0, 3.0)),
        ),
        method(
            "co-teaching",
            "two models, each on what the other finds easy",
            lambda _, setting, seed: CoTeaching(setting.get("noise_rate", 0.2)),
            rule_grid("noise_rate", (0.1, 0.2, 0.4)),
        ),
        method(
            "ncr",
            "predictions near those of neighbours in the batch",
            lambda _, setting, seed: NeighbourConsistency(setting.get("strength", 0.3)),
            rule_grid("strength", (0.1, 0.3, 0.6)),
        ),
        method(
            "similar-inputs-kl",
            "the control: similar inputs are predicted alike",
            lambda _, setting, seed: SimilarInputs(setting.get("strength", 0.3)),
            rule_grid("strength", (0.1, 0.3, 1.0)),
        ),
        method("crowd-layer", "a confusion matrix for every annotator", _head(CrowdLayer)),
        method("annotator-embeddings", "a weighted vector for every annotator", _head(AnnotatorEmbeddings)),
        method("annotator-heads", "a linear head for every annotator", _head(AnnotatorHeads)),
        method(
            "clear",
            "the adapter acts as far as a label is believed clean",
            lambda _, setting, seed: CleanRouting(setting.get("strength", 1.0), seed=seed),
            rule_grid("strength", (0.3, 1.0, 3.0)),
        ),
    ]


def _dcpc() -> list[BenchmarkMethod]:
    def method(name: str, what: str, *, adapter: Setting | None = None, **training: Any) -> BenchmarkMethod:
        grid = carrier_grid("dcpc")
        whole = "dcpc" if name.startswith("dcpc-no-") else None
        return BenchmarkMethod(
            name, "this project", "dcpc", what, None, grid, training, adapter or {}, searched_as=whole
        )

    def without(name: str, what: str, **objective: float) -> BenchmarkMethod:
        return method(f"dcpc-no-{name}", f"without {what}", objective=objective)

    return [
        method("dcpc", "the preset `default`"),
        method("dcpc-paper", "the equations as written", preset="paper"),
        method("dcpc-low-rank", "the default on the low-rank carrier", adapter={"bottleneck": 0, "rank": 4}),
        without("ambiguity", "L_amb (eq. 3-6)", ambiguity_weight=0.0),
        without("alignment", "prefix alignment (eq. 7-9)", alignment_weight=0.0),
        method(
            "dcpc-no-pcm",
            "without the preference correction module (eq. 10-12)",
            objective={"preference_weight": 0.0, "alignment_weight": 0.0},
            adapter={"correction": False},
        ),
        method("dcpc-no-annotators", "without annotators", adapter={"annotators": None}),
        method("dcpc-no-readout", "without the cross-layer readout", adapter={"readout": False}),
        without("target-correction", "target correction", target_correction=0.0),
        without("average", "averaged weights", ema_decay=0.0),
    ]


def _probes() -> list[BenchmarkMethod]:
    return [
        BenchmarkMethod(
            name,
            BASELINES[name].source,
            "probe",
            what,
            needs_annotators=BASELINES[name].needs_annotators,
        )
        for name, what in (
            ("linear-probe", "logistic regression on frozen embeddings, cross-validated"),
            ("linear-probe-annotators", "the same with an effect of every annotator"),
        )
    ]


METHODS: dict[str, BenchmarkMethod] = {
    method.name: method for method in (*_carriers(), *_probes(), *_on_backbone(), *_dcpc())
}
"""All methods by name."""
