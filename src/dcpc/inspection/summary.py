"""Everything that `dcpc inspect` finds out, as one typed result, and its JSON form."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import dcpc
from dcpc.data.annotations import Annotations, item_texts
from dcpc.errors import DCPCError
from dcpc.inspection.agreement import Agreement, measure_agreement
from dcpc.inspection.bias import AnnotatorBias, measure_bias
from dcpc.inspection.conflicts import same_item_conflicts, with_prior
from dcpc.inspection.consensus import Consensus, measure_consensus
from dcpc.inspection.decomposition import Decomposition, decompose
from dcpc.inspection.demographics import ColumnTest, compare_columns
from dcpc.inspection.entropy import Entropy, measure_entropy
from dcpc.inspection.groups import Groups, find_groups
from dcpc.inspection.overlap import Overlap, measure_overlap

MOST_ITEMS = 30
"""Most divided items that are listed."""

MOST_MINED = 200
"""Conflict pairs of two different items that are listed, one per pair of items, the most similar ones."""

MOST_EXAMPLE_LABELS = 6
"""Labels that are written out where their order is to be named."""


@dataclass(frozen=True)
class Inspection:
    """The disagreement in one set of annotations.

    Attributes:
        source, scale, labels: as the annotations say.
        scale_reason: why the labels are on that scale, and how to set another, in a sentence or two.
        notes: what the reader changed and what could not be computed, one sentence each.
        divided: the items people disagree on most: `item_id`, `entropy`, the label counts and, unless hidden,
            `text`.
        conflicts: conflict pairs, columns as `conflicts.COLUMNS` (and `text_a`, `text_b` unless hidden).
        item_ids: the I items, in the order of `entropy.per_item` and `consensus.labels`.
    """

    source: str
    scale: str
    labels: tuple[str, ...]
    scale_reason: str
    notes: tuple[str, ...]
    overlap: Overlap
    agreement: Agreement
    entropy: Entropy
    bias: list[AnnotatorBias]
    groups: Groups
    columns: list[ColumnTest]
    decomposition: Decomposition
    consensus: Consensus
    divided: pd.DataFrame
    conflicts: pd.DataFrame
    item_ids: tuple[str, ...]


def inspect_annotations(
    annotations: Annotations,
    *,
    texts: bool = True,
    pairs: bool = True,
    scale_given: bool = False,
    cache: str | Path | None = None,
    seed: int = 0,
    progress: Callable[[str], None] = lambda step: None,
    bars: bool = False,
) -> Inspection:
    """Run every diagnostic.

    Args:
        annotations: what a reader returned; at least one judgement.
        texts: keep texts in the result; false leaves only item ids.
        pairs: also mine near-duplicates and paraphrases labelled apart; says so in `notes` if the extras for it
            are not installed.
        scale_given: whether the user named the scale; false if the reader told it from the labels.
        cache: folder in which the embeddings of `pairs` are kept; None: they are computed and forgotten.
        seed: of every bootstrap, shuffle and sample.
        progress: called with the name of each step before it starts.
        bars: show progress bars while texts are embedded and compared.
    """
    progress("Counting")
    overlap, entropy = measure_overlap(annotations), measure_entropy(annotations)
    progress("Agreement")
    agreement = measure_agreement(annotations, seed=seed)
    progress("Annotators against the others")
    bias, decomposition = measure_bias(annotations), decompose(annotations, seed=seed)
    progress("Groups of annotators")
    groups, columns = find_groups(annotations, seed=seed), compare_columns(annotations, seed=seed)
    progress("Consensus models")
    consensus = measure_consensus(annotations, seed=seed)
    progress("Conflict pairs")
    notes = [*annotations.notes, *_limits(overlap)]
    prior = decomposition.preference if decomposition.preference is not None else 0.5
    conflicts = same_item_conflicts(annotations, prior=prior)
    if pairs and annotations.n_items > 1:
        conflicts = _with_mined(annotations, conflicts, prior, notes, cache, bars)
    return Inspection(
        source=annotations.source,
        scale=annotations.scale,
        labels=annotations.labels,
        scale_reason=explain_scale(annotations, given=scale_given),
        notes=tuple(notes),
        overlap=overlap,
        agreement=agreement,
        entropy=entropy,
        bias=bias,
        groups=groups,
        columns=columns,
        decomposition=decomposition,
        consensus=consensus,
        divided=most_divided(annotations, entropy, texts=texts),
        conflicts=_with_texts(annotations, conflicts) if texts else conflicts,
        item_ids=tuple(str(item) for item in annotations.item_ids),
    )


def most_divided(annotations: Annotations, entropy: Entropy, *, texts: bool) -> pd.DataFrame:
    """The items of highest entropy, ties by more judgements, at most `MOST_ITEMS`; unanimous items are left out."""
    sizes = annotations.counts.sum(axis=1)
    rank = np.lexsort((-sizes, -np.nan_to_num(entropy.per_item)))
    rank = rank[np.nan_to_num(entropy.per_item[rank]) > 1e-9][:MOST_ITEMS]
    counts = [
        {label: int(n) for label, n in zip(annotations.labels, annotations.counts[row], strict=True) if n}
        for row in rank
    ]
    table = pd.DataFrame(
        {"item_id": annotations.item_ids[rank], "entropy": entropy.per_item[rank], "labels": counts}
    )
    if texts:
        table["text"] = _shown_texts(annotations).reindex(table["item_id"]).to_numpy()
    return table


def explain_scale(annotations: Annotations, *, given: bool) -> str:
    """Why labels are on their scale, by the rules of `dcpc.data.scales`, and how to set another."""
    scale, labels = annotations.scale, annotations.labels
    if given:
        return f"The scale was set: {scale}."
    if scale == "preference":
        return "The scale is preference, because the table has two responses; `--scale nominal` sets another."
    if scale == "ordinal":
        return (
            f"The labels are more than two numbers, so they were read as ordinal, from {labels[0]} to {labels[-1]}. "
            "Where numbers are only names of classes, say `--scale nominal`: alpha and the leanings then change."
        )
    reason = "There are fewer than three labels" if len(labels) < 3 else "The labels are not all numbers"
    shown = labels if len(labels) <= MOST_EXAMPLE_LABELS else (*labels[:2], "…", labels[-1])
    return (
        f"{reason}, so they were read as nominal. Where they have an order, name them from low to high: "
        f"`--scale ordinal --labels {shlex.quote(','.join(shown))}`."
    )


def to_json(inspection: Inspection) -> dict[str, Any]:
    """The result as JSON-ready values; NaN becomes null."""
    values = {
        field.name: getattr(inspection, field.name)
        for field in dataclasses.fields(inspection)
        if field.name not in {"entropy", "consensus", "item_ids"}
    }
    entropy, consensus = inspection.entropy, inspection.consensus
    values["entropy"] = {
        "mean": entropy.mean,
        "unanimous": entropy.unanimous,
        "highest_possible": entropy.highest_possible,
    }
    values["consensus"] = {
        "agreement": consensus.agreement.to_dict(orient="index"),
        "differ": consensus.differ,
        "ties": consensus.ties,
        "notes": consensus.notes,
    }
    values["items"] = {
        "item_id": inspection.item_ids,
        "entropy": entropy.per_item,
        **{name: consensus.labels[name].tolist() for name in consensus.labels},
    }
    return {"dcpc": dcpc.__version__, **_plain(values)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, pd.DataFrame):
        return [_plain(row) for row in value.to_dict(orient="records")]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value


def _limits(overlap: Overlap) -> list[str]:
    notes = []
    if overlap.labels_per_item.high == 1:
        notes.append(
            "Every item has one label: agreement, bias, groups and preference cannot be measured. Have at least a "
            "part of the items labelled by two annotators or more."
        )
    elif overlap.single_label_items:
        notes.append(f"{overlap.single_label_items:,} items have one label and say nothing about agreement.")
    if overlap.annotators == 0:
        notes.append("Annotators are not named: bias, groups and preference cannot be measured.")
    if overlap.repeated:
        notes.append(f"{overlap.repeated:,} judgements repeat an annotator's earlier one on the same item.")
    return notes


def _with_mined(
    annotations: Annotations,
    conflicts: pd.DataFrame,
    prior: float,
    notes: list[str],
    cache: str | Path | None,
    bars: bool,
) -> pd.DataFrame:
    from dcpc.data.pairs import mine_pairs

    try:
        mined = mine_pairs(annotations, cache=cache, progress=bars)
    except DCPCError as error:
        notes.append(f"Near-duplicates and paraphrases were not looked for: {error.what} {error.fix or ''}")
        return conflicts
    mined = mined[mined["item_a"] != mined["item_b"]].drop_duplicates(["item_a", "item_b"]).head(MOST_MINED)
    mined = mined.assign(preference_posterior=with_prior(mined["preference_posterior"].to_numpy(), prior))
    return pd.concat([conflicts, mined], ignore_index=True) if len(mined) else conflicts


def _with_texts(annotations: Annotations, conflicts: pd.DataFrame) -> pd.DataFrame:
    texts = _shown_texts(annotations)
    return conflicts.assign(
        text_a=texts.reindex(conflicts["item_a"]).to_numpy(),
        text_b=texts.reindex(conflicts["item_b"]).to_numpy(),
    )


def _shown_texts(annotations: Annotations) -> pd.Series:
    """Each item's text, with its second text or responses below it, cut at 600 characters; index: item id."""
    texts = pd.Series(item_texts(annotations.items), index=annotations.item_ids, dtype="str").str.strip()
    return texts.where(texts.str.len() <= 600, texts.str.slice(0, 600) + "…")
