"""Every method of the benchmark under its name: carrier, learning rule, grid, and what it needs of the data."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from dcpc.data.annotations import Annotations
from dcpc.objective import ObjectiveConfig
from dcpc.training.objective_rule import ObjectiveRule
from dcpc_bench.methods.heads import AnnotatorEmbeddings, AnnotatorHeads, CrowdLayer
from dcpc_bench.methods.linear_probe import fit_linear_probe
from dcpc_bench.methods.registry import BASELINES
from dcpc_bench.methods.rules import (
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
from dcpc_bench.methods.rules.targets import Targets, unweighted
from dcpc_bench.methods.targets import crowdlab, dawid_skene, majority_vote
from dcpc_bench.rig.fitted import embedded
from dcpc_bench.rig.grids import Grid, carrier_grid, rule_grid
from dcpc_bench.rig.method import BenchmarkMethod, RuleOf, Setting, TrainingSettings


def _crowdlab(settings: TrainingSettings, seed: int, train: Annotations) -> Targets:
    """Consensus labels one-hot, weighed by their quality; the classifier is a cross-validated linear probe."""
    features = embedded(train.items, settings.base_model, settings.max_length)
    probe = fit_linear_probe(features, train, seed=seed)
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
        method("soft-labels", "the shares of the votes", _of_votes(lambda train: train.soft_labels)),
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
    def method(
        name: str,
        what: str,
        *,
        adapter: Setting | None = None,
        rule: RuleOf | None = None,
        grid: Grid | None = None,
        **training: Any,
    ) -> BenchmarkMethod:
        own = carrier_grid("dcpc") if grid is None else grid
        whole = "dcpc" if name.startswith(("dcpc-no-", "dcpc-with-")) else None
        return BenchmarkMethod(
            name, "this project", "dcpc", what, rule, own, training, adapter or {}, searched_as=whole
        )

    def given(name: str, what: str, **objective: float) -> BenchmarkMethod:
        return method(f"dcpc-with-{name}", f"with {what}, which is not in `default`", objective=objective)

    def counted(readout: float, adapter: float) -> RuleOf:
        return lambda *_: ObjectiveRule(ObjectiveConfig.preset("default"), shares=(readout, adapter))

    return [
        method("dcpc", "the preset `default`"),
        method("dcpc-paper", "the equations as written", preset="paper"),
        method("dcpc-low-rank", "the default on the low-rank carrier", adapter={"bottleneck": 0, "rank": 3}),
        method(
            "dcpc-readout",
            "the readout and the annotators' effects alone, fitted in closed form",
            adapter={"bottleneck": 1},
            rule=counted(1.0, 0.0),
            grid={},
            max_steps=1,  # there is nothing to train
        ),
        method("dcpc-no-annotators", "without annotators", adapter={"annotators": None}),
        method(
            "dcpc-no-readout",
            "the adapter alone; annotators start from the regression of the readout as ever",
            rule=counted(0.0, 1.0),
        ),
        method(
            "dcpc-with-pcm",
            "with the preference correction module (eq. 10-12), which is not in `default`",
            adapter={"correction": True},
        ),
        given("ambiguity", "L_amb (eq. 3-6)", ambiguity_weight=0.1),
        given("alignment", "alignment (eq. 7-9) and the module that it is about", alignment_weight=0.01),
        given("style-kl", "L_KL (eq. 12) and the module that it is about", preference_weight=0.01),
        given("target-correction", "target correction", target_correction=0.5),
        given("average", "averaged weights", ema_decay=0.98),
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
