"""Every baseline under its name: what it is, where it comes from, what it needs, and what to call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any, Literal

from torch.nn.functional import cross_entropy

from dcpc.baselines.bitfit import train_only_biases
from dcpc.baselines.bottleneck import add_bottleneck_adapters
from dcpc.baselines.carriers import train_everything
from dcpc.baselines.heads import AnnotatorEmbeddings, AnnotatorHeads, CrowdLayer
from dcpc.baselines.linear_probe import fit_linear_probe
from dcpc.baselines.losses import (
    EarlyLearningRegularisation,
    coteaching_losses,
    generalised_cross_entropy,
    neighbour_consistency,
    similar_inputs_kl,
)
from dcpc.baselines.peft_methods import adapter_config
from dcpc.baselines.rules.clear import CleanRouting
from dcpc.baselines.targets import crowdlab, dawid_skene, disaggregated, majority_vote, soft_labels
from dcpc.data.annotations import Annotations
from dcpc.errors import UsageError

Part = Literal["adapter", "model", "target", "loss", "routing", "head", "probe"]
"""What a baseline replaces: the adapter's configuration (`adapter`), the model's trainable parts in place
(`model`), the training targets, the loss, which items pass the adapter (`routing`), the classification head, or
training altogether (`probe`)."""


@dataclass(frozen=True)
class Baseline:
    """One method to compare with.

    Attributes:
        part: what it replaces in plain training.
        source: authors and year.
        build: the function or class; its docstring holds the equation.
        needs_annotators: it has to know who judged.
        needs_overlap: some items need two judgements or more.
    """

    part: Part
    source: str
    build: Callable[..., Any]
    needs_annotators: bool = False
    needs_overlap: bool = False


def _peft(method: str, source: str) -> Baseline:
    return Baseline("adapter", source, partial(adapter_config, method))


BASELINES: dict[str, Baseline] = {
    "lora": _peft("lora", "Hu et al. 2022"),
    "dora": _peft("dora", "Liu et al. 2024"),
    "adalora": _peft("adalora", "Zhang et al. 2023"),
    "ia3": _peft("ia3", "Liu et al. 2022"),
    "prompt-tuning": _peft("prompt-tuning", "Lester et al. 2021"),
    "p-tuning-v2": _peft("p-tuning-v2", "Liu et al. 2022"),
    "full": Baseline("model", "the usual practice", train_everything),
    "bitfit": Baseline("model", "Ben Zaken et al. 2022", train_only_biases),
    "bottleneck-adapter": Baseline(
        "model", "Houlsby et al. 2019, Pfeiffer et al. 2021", add_bottleneck_adapters
    ),
    "linear-probe": Baseline("probe", "Alain, Bengio 2016", fit_linear_probe),
    "linear-probe-annotators": Baseline(
        "probe",
        "Alain, Bengio 2016; random effects",
        partial(fit_linear_probe, annotator_effects=True),
        needs_annotators=True,
    ),
    "majority-vote": Baseline("target", "the usual practice", majority_vote),
    "soft-labels": Baseline("target", "Peterson et al. 2019", soft_labels),
    "disaggregated": Baseline("target", "Sheng et al. 2008", disaggregated),
    "dawid-skene": Baseline("target", "Dawid, Skene 1979", dawid_skene, needs_annotators=True),
    "crowdlab": Baseline("target", "Goh et al. 2022", crowdlab, needs_annotators=True, needs_overlap=True),
    "cross-entropy": Baseline("loss", "the usual practice", cross_entropy),
    "gce": Baseline("loss", "Zhang, Sabuncu 2018", generalised_cross_entropy),
    "elr": Baseline("loss", "Liu et al. 2020", EarlyLearningRegularisation),
    "co-teaching": Baseline("loss", "Han et al. 2018", coteaching_losses),
    "ncr": Baseline("loss", "Iscen et al. 2022", neighbour_consistency),
    "similar-inputs-kl": Baseline("loss", "control", similar_inputs_kl),
    "clear": Baseline("routing", "Kim et al. 2024", CleanRouting),
    "crowd-layer": Baseline("head", "Rodrigues, Pereira 2018", CrowdLayer, needs_annotators=True),
    "annotator-embeddings": Baseline("head", "Deng et al. 2023", AnnotatorEmbeddings, needs_annotators=True),
    "annotator-heads": Baseline("head", "Davani et al. 2022", AnnotatorHeads, needs_annotators=True),
}


def find_baseline(name: str) -> Baseline:
    """The baseline of that name.

    Raises:
        UsageError: an unknown name; the nearest ones are named.
    """
    if name not in BASELINES:
        near = get_close_matches(name, BASELINES, n=3, cutoff=0.4)
        raise UsageError(
            f'there is no baseline "{name}"',
            fix=f"Did you mean {' or '.join(near)}?" if near else f"Choose one of: {', '.join(BASELINES)}.",
        )
    return BASELINES[name]


def check_baseline(name: str, annotations: Annotations) -> None:
    """Make sure that a baseline can be trained on these annotations.

    Raises:
        UsageError: it needs annotator ids (of two annotators at least) or items that were judged twice.
    """
    baseline = find_baseline(name)
    check_needs(name, annotations, annotators=baseline.needs_annotators, overlap=baseline.needs_overlap)


def check_needs(name: str, annotations: Annotations, *, annotators: bool, overlap: bool) -> None:
    """Make sure that judgements have what a method of this name needs.

    Args:
        name: of the method, for the message.
        annotations: to train on.
        annotators: it needs the ids of two annotators or more.
        overlap: it needs items with two judgements or more.

    Raises:
        UsageError: they lack it.
    """
    if annotators and len(annotations.annotators) < 2:
        found = f"{len(annotations.annotators)} named" if annotations.has_annotators else "none named"
        raise UsageError(
            f"{name} compares annotators and needs two or more; there are {found}.",
            where=annotations.source,
            fix="Name the column of the annotator ids, or leave this method out.",
        )
    if overlap and annotations.counts.sum(axis=1).max(initial=0) < 2:
        raise UsageError(
            f"{name} needs items with two judgements or more, and here every item has one.",
            where=annotations.source,
            fix="Train on all annotations, or leave this method out.",
        )
