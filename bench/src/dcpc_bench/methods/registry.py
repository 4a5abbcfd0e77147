"""Every baseline under its name: where it comes from, and what it needs of the data.

How one is trained is in `dcpc_bench.rig.methods.METHODS`, which loads torch; a report is made without it.
"""

from __future__ import annotations

from typing import NamedTuple

from dcpc.data.annotations import Annotations
from dcpc.errors import UsageError


class Baseline(NamedTuple):
    """One method to compare with.

    Attributes:
        source: authors and year.
        needs_annotators: it has to know who judged.
        needs_overlap: some items need two judgements or more.
    """

    source: str
    needs_annotators: bool = False
    needs_overlap: bool = False


BASELINES: dict[str, Baseline] = {
    "lora": Baseline("Hu et al. 2022"),
    "dora": Baseline("Liu et al. 2024"),
    "adalora": Baseline("Zhang et al. 2023"),
    "ia3": Baseline("Liu et al. 2022"),
    "prompt-tuning": Baseline("Lester et al. 2021"),
    "p-tuning-v2": Baseline("Liu et al. 2022"),
    "full": Baseline("the usual practice"),
    "bitfit": Baseline("Ben Zaken et al. 2022"),
    "bottleneck-adapter": Baseline("Houlsby et al. 2019, Pfeiffer et al. 2021"),
    "linear-probe": Baseline("Alain, Bengio 2016"),
    "linear-probe-annotators": Baseline("Alain, Bengio 2016; random effects", needs_annotators=True),
    "majority-vote": Baseline("the usual practice"),
    "soft-labels": Baseline("Peterson et al. 2019"),
    "disaggregated": Baseline("Sheng et al. 2008"),
    "dawid-skene": Baseline("Dawid, Skene 1979", needs_annotators=True),
    "crowdlab": Baseline("Goh et al. 2022", needs_annotators=True, needs_overlap=True),
    "gce": Baseline("Zhang, Sabuncu 2018"),
    "elr": Baseline("Liu et al. 2020"),
    "co-teaching": Baseline("Han et al. 2018"),
    "ncr": Baseline("Iscen et al. 2022"),
    "similar-inputs-kl": Baseline("control"),
    "clear": Baseline("Kim et al. 2024"),
    "crowd-layer": Baseline("Rodrigues, Pereira 2018", needs_annotators=True),
    "annotator-embeddings": Baseline("Deng et al. 2023", needs_annotators=True),
    "annotator-heads": Baseline("Davani et al. 2022", needs_annotators=True),
}


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
