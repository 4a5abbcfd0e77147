"""Everything that `dcpc inspect` finds out, as one typed result, and its JSON form."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import dcpc
from dcpc.data.annotations import Annotations
from dcpc.errors import DCPCError
from dcpc.inspection import wording
from dcpc.inspection.agreement import (
    Agreement,
    Entropy,
    Overlap,
    measure_agreement,
    measure_entropy,
    measure_overlap,
)
from dcpc.inspection.annotators import AnnotatorBias, Decomposition, decompose, measure_bias
from dcpc.inspection.attributes import ColumnTest, annotator_columns, compare_columns
from dcpc.inspection.explorer import Explorer, make_explorer
from dcpc.inspection.groups import Groups, connected_parts, find_groups, sampled_pairs
from dcpc.inspection.items import (
    Consensus,
    measure_consensus,
    most_divided,
    same_item_conflicts,
    shown_texts,
    with_prior,
)
from dcpc.inspection.judgements import shared_judgements
from dcpc.inspection.preferences import Preferences, measure_preferences
from dcpc.ray_cluster import RayCluster

MOST_MINED = 200
"""Conflict pairs of two different items that are listed, one per pair of items, the most similar ones."""

MOST_EMBEDDED = 15_000
"""Items among which near-duplicates are looked for unless all are asked for: embedding takes minutes per 10,000."""


@dataclass(frozen=True)
class Inspection:
    """The disagreement in one set of annotations.

    Attributes:
        source, scale, labels: as the annotations say.
        scale_reason: why the labels are on that scale, and how to set another, in a sentence or two.
        notes: what the reader changed and what could not be computed, one sentence each.
        divided: the items people disagree on most: `item_id`, `entropy`, the label counts and, unless hidden,
            `text`.
        conflicts: conflict pairs, columns as `items.CONFLICT_COLUMNS` (and `text_a`, `text_b` unless hidden).
        preferences: habits of raters, where judgements are votes between two responses.
        explorer: what the page's tables of items and annotators are made of.
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
    preferences: Preferences | None
    explorer: Explorer
    item_ids: pd.Index


def inspect_annotations(
    annotations: Annotations,
    *,
    texts: bool = True,
    pairs: bool | None = None,
    scale_given: bool = False,
    cache: str | Path | None = None,
    seed: int = 0,
    progress: Callable[[str], None] = lambda step: None,
    bars: bool = False,
    cluster: RayCluster | None = None,
) -> Inspection:
    """Run every diagnostic.

    Args:
        annotations: what a reader returned; at least one judgement.
        texts: keep texts in the result; false leaves only item ids.
        pairs: also mine near-duplicates and paraphrases labelled apart; None: among at most `MOST_EMBEDDED` items,
            drawn at random. Says so in `notes` if the extras for it are not installed.
        scale_given: whether the user named the scale; false if the reader told it from the labels.
        cache: folder in which the embeddings of `pairs` are kept; None: they are computed and forgotten.
        seed: of every bootstrap, shuffle and sample.
        progress: called with the name of each step before it starts.
        bars: show progress bars while texts are embedded and compared.
        cluster: whose processes do that; None: this process does.
    """
    progress("Counting")
    overlap, entropy = measure_overlap(annotations), measure_entropy(annotations)
    judgements, people = shared_judgements(annotations), annotations.annotators.tolist()
    progress("Agreement")
    agreement, preferences = measure_agreement(annotations, seed=seed), measure_preferences(annotations)
    progress("Annotators against the others")
    bias = measure_bias(judgements, people, annotations.labels)
    decomposition = decompose(judgements, seed=seed)
    progress("Groups of annotators")
    part = connected_parts(judgements)
    sampled = sampled_pairs(judgements, part, seed=seed)
    groups = find_groups(sampled, people, len(bias), seed=seed)
    attributes = annotator_columns(annotations)
    columns = compare_columns(sampled, attributes, seed=seed)
    progress("Consensus models")
    consensus = measure_consensus(annotations, seed=seed)
    progress("Conflict pairs")
    notes = [
        *annotations.notes,
        *wording.limits(overlap, int(part.max(initial=-1)) + 1),
        *wording.remarkable(bias),
        *wording.alike_names(people),
        *(preferences.notes if preferences else ()),
    ]
    prior = decomposition.preference if decomposition.preference is not None else 0.5
    conflicts = same_item_conflicts(annotations, judgements, prior=prior, seed=seed)
    if pairs is not False and annotations.n_items > 1:
        among = annotations if pairs else _few_items(annotations, notes, seed)
        conflicts = _with_mined(among, conflicts, prior, notes, cache, bars, cluster)
    divided = most_divided(annotations, entropy.per_item, texts=texts)
    listed = pd.concat([divided["item_id"], conflicts["item_a"], conflicts["item_b"]])
    explorer = make_explorer(
        annotations,
        bias=bias,
        groups=groups,
        columns=attributes,
        preferences=preferences,
        listed=annotations.item_ids.get_indexer(pd.Index(listed.unique())),
        texts=texts,
        seed=seed,
    )
    return Inspection(
        source=annotations.source,
        scale=annotations.scale,
        labels=annotations.labels,
        scale_reason=wording.explain_scale(annotations, given=scale_given),
        notes=tuple(notes),
        overlap=overlap,
        agreement=agreement,
        entropy=entropy,
        bias=bias,
        groups=groups,
        columns=columns,
        decomposition=decomposition,
        consensus=consensus,
        divided=divided,
        conflicts=_with_texts(annotations, conflicts) if texts else conflicts,
        preferences=preferences,
        explorer=explorer,
        item_ids=annotations.item_ids,
    )


def to_json(inspection: Inspection) -> dict[str, Any]:
    """The result as JSON-ready values; NaN becomes null."""
    values = {
        field.name: getattr(inspection, field.name)
        for field in dataclasses.fields(inspection)
        if field.name not in {"entropy", "consensus", "explorer", "item_ids"}
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
        "item_id": [str(item) for item in inspection.item_ids],
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


def _with_mined(
    annotations: Annotations,
    conflicts: pd.DataFrame,
    prior: float,
    notes: list[str],
    cache: str | Path | None,
    bars: bool,
    cluster: RayCluster | None,
) -> pd.DataFrame:
    from dcpc.data.pairs import mine_pairs

    try:
        mined = mine_pairs(annotations, cache=cache, progress=bars, cluster=cluster)
    except DCPCError as error:
        notes.append(f"Near-duplicates and paraphrases were not looked for: {error.what} {error.fix or ''}")
        return conflicts
    mined = mined[mined["item_a"] != mined["item_b"]].drop_duplicates(["item_a", "item_b"]).head(MOST_MINED)
    mined = mined.assign(preference_posterior=with_prior(mined["preference_posterior"].to_numpy(), prior))
    return pd.concat([conflicts, mined], ignore_index=True) if len(mined) else conflicts


def _few_items(annotations: Annotations, notes: list[str], seed: int) -> Annotations:
    """A random part of the items, where there are more than can be embedded in a few minutes."""
    n_items = annotations.n_items
    if n_items <= MOST_EMBEDDED:
        return annotations
    notes.append(
        f"Near-duplicates and paraphrases were looked for among a random {MOST_EMBEDDED:,} of the {n_items:,} items; "
        "--pairs looks among all."
    )
    keep = np.zeros(n_items, dtype=bool)
    keep[np.random.default_rng(seed).permutation(n_items)[:MOST_EMBEDDED]] = True
    return annotations.where(keep[annotations.item_codes])


def _with_texts(annotations: Annotations, conflicts: pd.DataFrame) -> pd.DataFrame:
    sides = {}
    for side in ("a", "b"):
        items = annotations.item_ids.get_indexer(pd.Index(conflicts[f"item_{side}"]))
        sides[f"text_{side}"] = shown_texts(annotations, items)
    return conflicts.assign(**sides)
