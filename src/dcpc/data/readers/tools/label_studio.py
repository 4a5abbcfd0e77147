"""Label Studio, full JSON export: tasks with `data`, `annotations` and what was drafted or skipped.

The label is what one control of the labelling interface (`from_name`) holds: choices, a rating, a number, a
pairwise selection (left is response a) or a text. `completed_by` is an id or an object with one. Cancelled
annotations, drafts and predictions are not judgements: left out, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dcpc.data.raw import RawTable
from dcpc.data.readers.formats import Format, Peek
from dcpc.data.readers.records import read_records
from dcpc.data.readers.rows import Rows, attributes, choose_question, texts_of
from dcpc.errors import DataError

VALUES = ("choices", "rating", "number", "selected", "taxonomy", "text", "datetime")
"""Kinds of answers, under which a control's value stands."""


def read_label_studio(source: str, columns: Mapping[str, str]) -> RawTable:
    """Label Studio tasks."""
    records = read_records(Path(source), source)
    rows = Rows(source, "task" if records.unit == "record" else records.unit)
    tasks = [(place, task, _annotations(task, rows, place)) for place, task in records.entries]
    answers = [
        answer for place, _, given in tasks for one in given for answer in label_answers(one, rows, place)
    ]
    question = choose_question((answer["from_name"] for answer in answers), columns, rows)
    columns = _with_labelled_field(columns, [a for a in answers if a["from_name"] == question], tasks)
    pairwise = any("selected" in a["value"] for a in answers if a["from_name"] == question)
    for place, task, given in tasks:
        _add_task(rows, place, task, given, question, columns, pairwise)
    return rows.table()


def _with_labelled_field(
    columns: Mapping[str, str],
    answers: list[Mapping[str, Any]],
    tasks: Sequence[tuple[int, Mapping[str, Any], list[Mapping[str, Any]]]],
) -> Mapping[str, str]:
    """The field that the control labels as the text, where it is called like what it shows (`to_name`)."""
    shown = {answer.get("to_name") for answer in answers}
    name = next(iter(shown)) if len(shown) == 1 else None
    if "text" in columns or not isinstance(name, str):
        return columns
    is_field = all(isinstance(task["data"].get(name), str) for _, task, _ in tasks)
    return {"text": name, **columns} if is_field else columns


def _add_task(
    rows: Rows,
    place: int,
    task: Mapping[str, Any],
    annotations: list[Mapping[str, Any]],
    question: str | None,
    columns: Mapping[str, str],
    pairwise: bool,
) -> None:
    for kind in ("draft", "prediction"):
        if isinstance(task.get(f"{kind}s"), list) and task[f"{kind}s"]:
            rows.skip(kind, len(task[f"{kind}s"]))
    rows.record(place, lambda: _item(task, columns, rows, place, pairwise), task)
    if not annotations:
        rows.skip("task without annotations")
        return
    item = _item(task, columns, rows, place, pairwise)
    for annotation in annotations:
        if annotation.get("was_cancelled"):
            rows.skip("annotation (cancelled)")
            continue
        answers = [a for a in label_answers(annotation, rows, place) if a["from_name"] == question]
        if len(answers) > 1:
            raise rows.error(
                place, f'"{question}" was answered per region.', "Export a control that labels the item."
            )
        who, when = _annotator(annotation.get("completed_by")), annotation.get("created_at")
        rows.add(place, item, who, _value(answers[0]) if answers else None, when)


def _item(
    task: Mapping[str, Any], columns: Mapping[str, str], rows: Rows, place: int, pairwise: bool
) -> dict[str, Any]:
    data = task["data"]
    texts = [name for name, value in data.items() if isinstance(value, str)]
    if pairwise and not {"response_a", "response_b"} & {*columns, *data} and len(texts) > 1:
        named = ",".join(f"{ours}={name}" for ours, name in zip(_PAIR[-len(texts) :], texts, strict=False))
        raise rows.error(
            place,
            "the label says which of two is better, but not which fields the left and the right one are.",
            f"Name them, left and right, as with --columns {named}.",
        )
    item, chosen = texts_of(data, columns, rows, place)
    item |= attributes(data, tuple(chosen.values()))
    return item | ({"item_id": task["id"]} if task.get("id") is not None else {})


_PAIR = ("text", "response_a", "response_b")


def _annotations(task: Mapping[str, Any], rows: Rows, place: int) -> list[Mapping[str, Any]]:
    """The annotations of a task, `completions` before Label Studio 1.0; none where the key is missing."""
    given = task.get("annotations", task.get("completions", []))
    if not isinstance(task.get("data"), dict) or not isinstance(given, list):
        raise rows.error(
            place,
            "this is not a Label Studio task (no `data` and `annotations`).",
            "Export as JSON or JSON-MIN, and keep one format per file.",
        )
    for annotation in given:
        if not isinstance(annotation, dict):
            raise _unlike(rows, place, "an annotation")
    return given


def label_answers(annotation: Mapping[str, Any], rows: Rows, place: int) -> list[Mapping[str, Any]]:
    """The answers of an annotation that label the whole item, not a region of it."""
    result = annotation.get("result") or []
    if not isinstance(result, list) or not all(isinstance(answer, dict) for answer in result):
        raise _unlike(rows, place, "a `result`")
    answers = [answer for answer in result if _is_label(answer)]
    if not all(isinstance(answer.get("from_name"), str) for answer in answers):
        raise _unlike(rows, place, "a `from_name`")
    return answers


def _unlike(rows: Rows, place: int, what: str) -> DataError:
    return rows.error(place, f"{what} is not as Label Studio writes it.", "Export the tasks again.")


def _is_label(answer: Mapping[str, Any]) -> bool:
    value = answer.get("value")
    return isinstance(value, dict) and "start" not in value and any(name in value for name in VALUES)


def _value(answer: Mapping[str, Any]) -> object:
    value = next(answer["value"][name] for name in VALUES if name in answer["value"])
    if answer.get("type") == "taxonomy" and isinstance(value, list):  # a list of paths through the tree
        return [" / ".join(map(str, path)) if isinstance(path, list) else str(path) for path in value]
    return value


def _annotator(completed_by: object) -> object:
    if isinstance(completed_by, dict):
        found = (completed_by.get(name) for name in ("id", "email", "username"))
        return next((name for name in found if name is not None), None)
    return completed_by


def _recognises(peek: Peek) -> bool:
    record = peek.record
    kinds = {"annotations", "completions", "predictions", "drafts"}
    return peek.kind == "json" and isinstance(record.get("data"), dict) and bool(record.keys() & kinds)


FORMAT = Format(read_label_studio, _recognises)
