"""Label Studio's JSON_MIN and CSV exports: one row per annotation, the answers and the task's data side by side.

Both say `annotator`, `annotation_id` and `id` (of the task). A control's answer is a plain value, `{"choices": [..]}`
where there are several, or `[{"rating": 4}]`; in CSV these are JSON within the cell.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from dcpc.data.advice import nearest
from dcpc.data.raw import RawTable
from dcpc.data.readers.formats import Format, Peek
from dcpc.data.readers.long import read_table
from dcpc.data.readers.rows import Rows, attributes, choose_question, texts_of
from dcpc.data.readers.tools.label_studio import VALUES
from dcpc.data.validation import listed
from dcpc.errors import DataError

_OWN = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time")


def read_label_studio_min(source: str, columns: Mapping[str, str]) -> RawTable:
    """Label Studio annotations, one row each, from JSON_MIN or CSV."""
    table = read_table(source)
    rows = Rows(source, table.unit)
    for note in table.notes:
        rows.note(note)
    others = [str(name) for name in table.frame if str(name) not in _OWN]
    answers = _answers(table.frame, others, columns)
    question = _question(others, answers, columns, rows)
    fields = [name for name in others if name not in (question, *answers)]
    for place, record in zip(table.places.tolist(), table.frame.to_dict("records"), strict=True):
        given = {str(name): value for name, value in record.items() if _is_there(value)}
        _add(rows, place, given, question, fields, columns)
    return rows.table()


def _add(
    rows: Rows,
    place: int,
    record: dict[str, Any],
    question: str | None,
    fields: list[str],
    columns: Mapping[str, str],
) -> None:
    def item() -> dict[str, Any]:
        data = {name: record[name] for name in fields if name in record}
        named = {name: column for name, column in columns.items() if name != "label"}
        found, chosen = texts_of(data, named, rows, place)
        found |= attributes(data, tuple(chosen.values()))
        return found | ({"item_id": record["id"]} if "id" in record else {})

    rows.record(place, item, {"id": record.get("id"), "data": {n: record[n] for n in fields if n in record}})
    answer = record.get(question) if question else None
    try:
        label = plain_answer(answer)
    except ValueError:
        raise rows.error(
            place, f'the answer to "{question}" labels regions.', "Name another control."
        ) from None
    rows.add(place, item(), record.get("annotator"), label, record.get("created_at"))


def plain_answer(cell: object) -> object:
    """The label or labels in a cell: plain, JSON, `{"choices": [...]}`, or `[{"rating": 4}]`.

    Raises:
        ValueError: if it holds regions.
    """
    if isinstance(cell, str) and cell[:1] in ("{", "["):
        try:
            cell = json.loads(cell)
        except json.JSONDecodeError:
            return cell
    if isinstance(cell, np.ndarray):
        cell = cell.tolist()
    if isinstance(cell, list) and cell and all(isinstance(part, dict) for part in cell):
        if len(cell) > 1 or "start" in cell[0]:
            raise ValueError
        cell = cell[0]
    if isinstance(cell, dict):
        cell = next((cell[name] for name in VALUES if name in cell), None)
    if isinstance(cell, list) and all(isinstance(path, list) for path in cell):
        return [" / ".join(map(str, path)) for path in cell]
    return cell


def _answers(frame: pd.DataFrame, others: list[str], columns: Mapping[str, str]) -> list[str]:
    """The columns in which some task has several values: answers of annotators, not the task's data."""
    tasks = frame["id"].to_numpy() if "id" in frame else np.arange(len(frame))
    free = [name for name in others if name not in columns.values()]
    return [name for name in free if frame[name].map(str).groupby(tasks).nunique().max() > 1]


def _question(others: list[str], answers: list[str], columns: Mapping[str, str], rows: Rows) -> str | None:
    """The control that holds the labels: the named one, or the only one that was answered in different ways."""
    named = columns.get("label")
    if named is None:
        return choose_question(answers or (["label"] if "label" in others else []), {}, rows)
    if named not in others:
        close = nearest(named, others)
        raise DataError(
            f'there is no control "{named}"; found: {listed(others)}.',
            where=rows.source,
            fix=f"Correct --columns label={close or 'YOUR_CONTROL'}.",
        )
    return named


def _is_there(value: object) -> bool:
    return value is not None and value is not pd.NaT and not (isinstance(value, float) and np.isnan(value))


def _recognises(peek: Peek) -> bool:
    names = set(peek.columns) or set(peek.record)
    return peek.kind in ("json", "table") and {"annotator", "annotation_id", "lead_time"} <= names


FORMAT = Format(read_label_studio_min, _recognises)
