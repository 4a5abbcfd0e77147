"""Labelbox, export v2 (NDJSON): data rows with the labels that each project gave them.

A label's `classifications` are its answers: radio, checklist or text, by the question's name. Who labelled is
`label_details.created_by`. Objects (boxes, entities) are no labels of the item and are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from dcpc.data.raw import RawTable
from dcpc.data.readers.formats import Format, Peek
from dcpc.data.readers.records import read_records
from dcpc.data.readers.rows import Rows, choose_question

_ADDRESS = re.compile(r"(https?|gs|s3)://\S+")

Label = tuple[object, object, dict[str, Any]]
"""Annotator, time, and question → answer."""


def read_labelbox(source: str, columns: Mapping[str, str]) -> RawTable:
    """Labelbox data rows; `columns` may name the question as `label`."""
    records = read_records(Path(source), source)
    rows = Rows(source, records.unit)
    found: list[tuple[int, dict[str, Any], list[Label]]] = []
    for place, record in records.entries:
        if not isinstance(record.get("data_row"), dict) or not isinstance(record.get("projects", {}), dict):
            raise rows.error(
                place,
                "this is not a Labelbox data row (no `data_row` and `projects`).",
                "Keep one format per file.",
            )
        found.append((place, record, list(_labels(record, rows, place))))
    questions = (question for *_, labels in found for *_, answers in labels for question in answers)
    question = choose_question(questions, columns, rows)
    for place, record, labels in found:
        rows.record(place, partial(_item, record, rows, place), record)
        if not labels:
            rows.skip("data row without labels")
            continue
        item = _item(record, rows, place)
        for annotator, when, answers in labels:
            rows.add(place, item, annotator, answers.get(question) if question else None, when)
    return rows.table()


def _labels(record: Mapping[str, Any], rows: Rows, place: int) -> Iterator[Label]:
    try:
        for project in record.get("projects", {}).values():
            for label in project.get("labels") or ():
                details = label.get("label_details") or {}
                classifications = (label.get("annotations") or {}).get("classifications") or ()
                answers = {one["name"]: _answer(one) for one in classifications}
                yield details.get("created_by"), details.get("created_at"), answers
    except (AttributeError, KeyError, TypeError) as error:
        raise rows.error(
            place, "a label is not as Labelbox writes it.", "Export the project again (export v2)."
        ) from error


def _answer(classification: Mapping[str, Any]) -> object:
    if "radio_answer" in classification:
        return classification["radio_answer"]["name"]
    if "checklist_answers" in classification:
        return [answer["name"] for answer in classification["checklist_answers"]]
    if "text_answer" in classification:
        return classification["text_answer"]["content"]
    return None


def _item(record: Mapping[str, Any], rows: Rows, place: int) -> dict[str, Any]:
    row = record["data_row"]
    text = row.get("row_data")
    if isinstance(text, str) and _ADDRESS.fullmatch(text.strip()):
        raise rows.error(
            place,
            "the text is not in the export, only where it is stored (`row_data` is an address).",
            "Write each text into `row_data`.",
        )
    named = {"external_id": row["external_id"]} if row.get("external_id") else {}
    return {"item_id": row.get("global_key") or row.get("id"), "text": text, **named}


def _recognises(peek: Peek) -> bool:
    return peek.kind == "json" and {"data_row", "projects"} <= peek.record.keys()


FORMAT = Format(read_labelbox, _recognises)
