"""Cells of a table that list several annotators, and beside them their labels: `anna;bert`, `yes;no`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from dcpc.data.raw import RawTable
from dcpc.data.structure import parsed, plain

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
_LABELS = ("labels", "annotations", "ratings", "votes", "judgements", "judgments", "answers", "scores")


def with_single_judgements(raw: RawTable) -> RawTable:
    """One row per judgement where each row lists its annotators and as many labels; other tables stay as they are."""
    if {"label", "annotator_id"} & set(raw.frame):
        return raw
    names = {str(name).strip().casefold(): name for name in raw.frame.columns}
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


def _parts(value: object) -> list[object]:
    found = parsed(value) if isinstance(value, str) else plain(value)
    if isinstance(found, list):
        return found
    if not isinstance(value, str) or not value.strip():
        return []
    mark = next((mark for mark in (";", "|", ",") if mark in value), None)
    return [part.strip() for part in value.split(mark)] if mark else [value.strip()]
