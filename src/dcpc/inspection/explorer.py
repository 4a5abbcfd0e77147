"""What the page's tables of items and annotators are made of: judgements as numbers, small enough to embed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dcpc.data.annotations import Annotations
from dcpc.inspection.annotators import AnnotatorBias
from dcpc.inspection.groups import Groups
from dcpc.inspection.items import MOST_CHARACTERS, shown_texts
from dcpc.inspection.preferences import Preferences

MOST_ITEMS = 50_000
"""Items in the page's table: of more, a random part beside those that the page lists elsewhere."""

MOST_JUDGEMENTS = 1_000_000
"""Judgements in the page; of more, fewer items."""

MOST_ANNOTATORS = 50_000
"""Annotators in the page's table: of more, those with the most judgements."""

MOST_TEXT = 12_000_000
"""Characters of all texts; with many items each is cut shorter."""


@dataclass(frozen=True)
class Explorer:
    """The tables of the page, as plain values that become JSON.

    Attributes:
        data: `labels`, `items`, `judgements` (who and what, item after item), `annotators`, `groups`, `attributes`.
        items, annotators: how many there are altogether.
        shown_items, shown_annotators: how many of them are in `data`.
    """

    data: dict[str, Any]
    items: int
    annotators: int
    shown_items: int
    shown_annotators: int

    def script_json(self) -> str:
        """The data as JSON that is inert inside a `<script type="application/json">` element."""
        text = json.dumps(self.data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return text.replace(
            "<", "\\u003c"
        )  # "</script>" and "<!--" in a text would end or change the element


def make_explorer(
    annotations: Annotations,
    *,
    bias: Sequence[AnnotatorBias],
    groups: Groups,
    columns: Mapping[str, pd.Series],
    preferences: Preferences | None,
    listed: np.ndarray,
    texts: bool,
    seed: int = 0,
) -> Explorer:
    """Gather what the tables show.

    Args:
        annotations: the judgements.
        bias: of annotators, see `measure_bias`.
        groups: found groups of annotators.
        columns: attributes of annotators, see `annotator_columns`.
        preferences: the raters' habits, where judgements are votes between two responses.
        listed: positions of items that the page lists elsewhere; these are always in the table, int [N].
        texts: whether to take the items' texts along.
        seed: of the items drawn, where there are too many.
    """
    items = _chosen_items(annotations, listed, seed)
    people = _chosen_annotators(annotations)
    place = np.full(len(annotations.annotators) + 1, -1)  # the last one: no annotator
    place[people] = np.arange(len(people))
    row_of = np.full(annotations.n_items, -1)
    row_of[items] = np.arange(len(items))
    rows = np.flatnonzero(row_of[annotations.item_codes] >= 0)
    rows = rows[np.argsort(row_of[annotations.item_codes[rows]], kind="stable")]
    data = {
        "labels": list(annotations.labels),
        "ordinal": annotations.scale == "ordinal",
        "items": _items(annotations, items, texts=texts),
        "judgements": {
            "size": np.bincount(row_of[annotations.item_codes[rows]], minlength=len(items)).tolist(),
            "who": place[annotations.annotator_codes[rows]].tolist(),
            "label": annotations.label_codes[rows].tolist(),
        },
        "annotators": _annotators(annotations, people, bias, preferences),
        **_groups(annotations, people, groups, columns),
    }
    return Explorer(data, annotations.n_items, len(annotations.annotators), len(items), len(people))


def _chosen_items(annotations: Annotations, listed: np.ndarray, seed: int) -> np.ndarray:
    n_items = annotations.n_items
    most = min(MOST_ITEMS, int(n_items * MOST_JUDGEMENTS / max(annotations.n_judgements, 1)))
    if n_items <= most:
        return np.arange(n_items)
    drawn = np.random.default_rng(seed).permutation(n_items)
    first = pd.unique(listed)[:most]  # in their order: the most divided items come first
    rest = drawn[~np.isin(drawn, first)][: most - len(first)]
    return np.sort(np.concatenate([first, rest]))


def _chosen_annotators(annotations: Annotations) -> np.ndarray:
    codes = annotations.annotator_codes
    activity = np.bincount(codes[codes >= 0], minlength=len(annotations.annotators))
    return np.sort(np.argsort(-activity, kind="stable")[:MOST_ANNOTATORS])


def _items(annotations: Annotations, items: np.ndarray, *, texts: bool) -> dict[str, Any]:
    result: dict[str, Any] = {"id": [str(item) for item in annotations.item_ids[items]]}
    if texts:
        cut = int(np.clip(MOST_TEXT // max(len(items), 1), 120, MOST_CHARACTERS))
        result["text"] = shown_texts(annotations, items, cut)
    if "split" in annotations.items:
        codes, names = pd.factorize(annotations.items["split"].iloc[items], sort=True)
        result["split"], result["splits"] = codes.tolist(), [str(name) for name in names]
    return result


def _annotators(
    annotations: Annotations,
    people: np.ndarray,
    bias: Sequence[AnnotatorBias],
    preferences: Preferences | None,
) -> dict[str, Any]:
    ids = [str(annotations.annotators[position]) for position in people]
    codes = annotations.annotator_codes
    judged = np.bincount(codes[codes >= 0], minlength=len(annotations.annotators))[people]
    by_name = {b.annotator: b for b in bias}
    label = {name: code for code, name in enumerate(annotations.labels)}
    known = [by_name.get(name) for name in ids]
    result: dict[str, Any] = {
        "id": ids,
        "judgements": judged.tolist(),
        "agreement": _field(known, "agreement"),
        "chance": _field(known, "chance"),
        "leaning": [-1 if b is None else label[b.leaning] for b in known],
        "excess": _field(known, "excess"),
        "z": _field(known, "z", 1),
    }
    if annotations.scale == "ordinal":
        result["leniency"] = _field(known, "leniency")
        result["extremity"] = _field(known, "extremity")
    if preferences is not None and preferences.raters:
        raters = {r.rater: r for r in preferences.raters}
        for name in ("ties", "longer", "first"):
            result[name] = [_rounded(getattr(raters[rater], name).share) for rater in ids]
        result["cyclic"] = [raters[rater].cyclic for rater in ids]
        result["triples"] = [raters[rater].triples for rater in ids]
    return result


def _groups(
    annotations: Annotations, people: np.ndarray, groups: Groups, columns: Mapping[str, pd.Series]
) -> dict[str, Any]:
    group_of = {name: number for number, members in enumerate(groups.members) for name in members}
    attributes = []
    for name, values in columns.items():
        codes, found = pd.factorize(values.to_numpy()[people])
        attributes.append({"name": name, "values": [str(v) for v in found], "of": codes.tolist()})
    return {
        "groups": [len(members) for members in groups.members],
        "group": [group_of.get(str(annotations.annotators[position]), -1) for position in people],
        "attributes": attributes,
    }


def _field(bias: Sequence[AnnotatorBias | None], name: str, digits: int = 3) -> list[float | None]:
    return [None if b is None else _rounded(getattr(b, name), digits) for b in bias]


def _rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), digits)
