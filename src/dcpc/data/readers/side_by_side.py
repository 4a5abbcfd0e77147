"""Cells of a table that hold the judgements of several annotators.

They list the annotators, and beside them their labels: `anna;bert`, `yes;no`. Or one cell maps annotators to labels,
`{"anna": 3, "bert": 4}`, in a column whose name says that what stands there was given by people.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from dcpc.data.equality import are_numbers
from dcpc.data.raw import RawTable
from dcpc.data.structure import is_missing, parsed, plain

_ANNOTATORS = (
    "annotators",
    "annotator_ids",
    "workers",
    "worker_ids",
    "raters",
    "rater_ids",
    "users",
    "judges",
)
_BY_PERSON = (
    "annotators",
    "raters",
    "workers",
    "judges",
    "annotations",
    "ratings",
    "judgements",
    "judgments",
    "by_annotator",
    "by_rater",
    "annotator_labels",
    "annotator_ratings",
    "labels_by_annotator",
    "ratings_by_annotator",
    "individual_labels",
    "individual_ratings",
)
"""Columns whose objects name people; those called `labels`, `votes` or `counts` name labels and count them."""
_LABELS = ("labels", "annotations", "ratings", "votes", "judgements", "judgments", "answers", "scores")


def with_single_judgements(raw: RawTable) -> RawTable:
    """One row per judgement where each row lists its annotators and as many labels; other tables stay as they are."""
    if {"label", "annotator_id"} & set(raw.frame):
        return raw
    names = {str(name).strip().casefold(): name for name in raw.frame.columns}
    mapped = [names[name] for name in _BY_PERSON if name in names and _names_people(raw.frame[names[name]])]
    if len(mapped) == 1:
        return _one_for_each_person(raw, str(mapped[0]))
    who = [names[name] for name in _ANNOTATORS if name in names]
    said = [names[name] for name in _LABELS if name in names]
    if len(who) != 1 or len(said) != 1:
        return raw
    people, labels = ([_parts(value) for value in raw.frame[name]] for name in (who[0], said[0]))
    if (
        any(len(a) != len(b) for a, b in zip(people, labels, strict=True))
        or max(map(len, people), default=0) < 2
    ):
        return raw
    row = np.repeat(np.arange(len(raw.frame)), [len(each) for each in people])
    frame = raw.frame.drop(columns=[who[0], said[0]]).iloc[row].reset_index(drop=True)
    frame["annotator_id"] = pd.Series([one for each in people for one in each], dtype=object)
    frame["label"] = pd.Series([one for each in labels for one in each], dtype=object)
    return replace(raw, frame=frame, places=raw.places[row]).with_notes(
        f'Each row lists its annotators ("{who[0]}") and their labels ("{said[0]}"): one judgement for each of them.'
    )


def _names_people(values: pd.Series) -> bool:
    """Whether the cells map names to labels, or lists of them; of numbers they may be counts, `{"1": 0, "5": 12}`."""
    given = [_object(value) for value in values.dropna().head(200)]
    labels = [label for each in given for label in (each or {}).values()]
    named = {name for each in given if each for name in each}
    plainly = all(
        "label" in label
        if isinstance(label, dict)
        else not isinstance(label, list) or not any(isinstance(each, list | dict) for each in label)
        for label in labels
    )
    return bool(named) and None not in given and plainly and not are_numbers(named)


def _object(value: object) -> dict[str, object] | None:
    found = parsed(value) if isinstance(value, str) else plain(value)
    return {str(name): each for name, each in found.items()} if isinstance(found, dict) else None


def _one_for_each_person(raw: RawTable, column: str) -> RawTable:
    """One row per judgement; a person without a value gave none: Parquet has every name in every row."""
    cells = [_object(value) or {} for value in raw.frame[column]]
    said = [
        {who: each["label"] if isinstance(each, dict) else each for who, each in cell.items()}
        for cell in cells
    ]
    given = [{who: label for who, label in cell.items() if not is_missing(label)} for cell in said]
    row = np.repeat(np.arange(len(given)), [len(each) for each in given])
    frame = raw.frame.drop(columns=column).iloc[row].reset_index(drop=True)
    frame["annotator_id"] = pd.Series([who for each in given for who in each], dtype=object)
    frame["label"] = pd.Series([label for each in given for label in each.values()], dtype=object)
    return replace(raw, frame=frame, places=raw.places[row]).with_notes(
        f'"{column}" maps annotators to their labels: one judgement for each of them.'
    )


def _parts(value: object) -> list[object]:
    found = parsed(value) if isinstance(value, str) else plain(value)
    if isinstance(found, list):
        return found
    if not isinstance(value, str) or not value.strip():
        return []
    mark = next((mark for mark in (";", "|", ",") if mark in value), None)
    return [part.strip() for part in value.split(mark)] if mark else [value.strip()]
