"""Label Studio, full JSON export: tasks with `data`, `annotations` and what was drafted or skipped.

The label is what one control of the labelling interface (`from_name`) holds: choices, a rating, a number, a
pairwise selection (left is response a) or a text. `completed_by` is an id or an object with one. Cancelled
annotations, drafts and predictions are not judgements: left out, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dcpc.data.raw import RawTable
from dcpc.data.readers.records import read_records
from dcpc.data.readers.rows import Rows, attributes, choose_question, choose_text_fields

_VALUES = ("choices", "rating", "number", "selected", "taxonomy", "text", "datetime")


def read_label_studio(source: str, columns: Mapping[str, str]) -> RawTable:
    """Label Studio tasks."""
    records = read_records(Path(source), source)
    rows = Rows(source, "task" if records.unit == "record" else records.unit)
    tasks = list(records.entries)
    for place, task in tasks:
        if not isinstance(task.get("data"), dict) or not isinstance(_annotations(task), list):
            raise rows.error(
                place,
                "this is not a Label Studio task (no `data` and `annotations`).",
                "Export as JSON, not JSON-MIN, and keep one format per file.",
            )
    answers = (
        answer for _, task in tasks for given in _annotations(task) for answer in given.get("result") or ()
    )
    question = choose_question((a["from_name"] for a in answers if _is_label(a)), columns, rows)
    for place, task in tasks:
        _add_task(rows, place, task, question, columns)
    return rows.table()


def _add_task(
    rows: Rows, place: int, task: Mapping[str, Any], question: str | None, columns: Mapping[str, str]
) -> None:
    data, annotations = task["data"], _annotations(task)
    if task.get("drafts"):
        rows.skip("draft", len(task["drafts"]))
    if not annotations:
        rows.skip("task without annotations")
        return
    chosen = choose_text_fields(data, columns, rows, place)
    item = {ours: data[theirs] for ours, theirs in chosen.items()} | attributes(data, tuple(chosen.values()))
    item |= {"item_id": task["id"]} if "id" in task else {}
    for annotation in annotations:
        if annotation.get("was_cancelled"):
            rows.skip("annotation (cancelled)")
            continue
        values = [
            _value(a)
            for a in annotation.get("result") or ()
            if a.get("from_name") == question and _is_label(a)
        ]
        if len(values) > 1:
            raise rows.error(
                place, f'"{question}" was answered per region.', "Export a control that labels the item."
            )
        rows.add(place, item, _annotator(annotation.get("completed_by")), values[0] if values else None)


def _annotations(task: Mapping[str, Any]) -> Any:
    return task.get("annotations", task.get("completions"))  # `completions`: before Label Studio 1.0


def _is_label(answer: Mapping[str, Any]) -> bool:
    value = answer.get("value")
    return isinstance(value, dict) and "start" not in value and any(name in value for name in _VALUES)


def _value(answer: Mapping[str, Any]) -> object:
    value = next(answer["value"][name] for name in _VALUES if name in answer["value"])
    if answer.get("type") == "taxonomy":  # a list of paths through the tree
        return [" / ".join(path) for path in value]
    return value


def _annotator(completed_by: object) -> object:
    if isinstance(completed_by, dict):
        return completed_by.get("id") or completed_by.get("email") or completed_by.get("username")
    return completed_by
