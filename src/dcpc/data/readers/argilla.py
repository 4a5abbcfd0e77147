"""Argilla records, as JSON or JSON Lines, or flattened as its exports to the Hugging Face Hub are.

Argilla 2 (`dataset.records.to_json`): `fields`, and `responses`: question → list of {value, user_id, status}.
Argilla 1 feedback records: `responses` is a list of {user_id, status, values: {question: {value}}}; its older
text-classification records hold one `annotation` by one `annotation_agent`.
Drafts, discarded responses, suggestions and predictions are not judgements: they are left out, and counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dcpc.data.raw import RawTable
from dcpc.data.readers.long import read_table
from dcpc.data.readers.records import Records, read_records
from dcpc.data.readers.rows import Rows, attributes, choose_question, choose_text_fields

Response = tuple[str, object, object, str]
"""Question, annotator, value, status."""


def read_argilla(source: str, columns: Mapping[str, str]) -> RawTable:
    """Argilla 2 records."""
    return _read(read_records(Path(source), source), source, columns)


def read_argilla_1(source: str, columns: Mapping[str, str]) -> RawTable:
    """Argilla 1 feedback records, or its older text-classification records."""
    records = read_records(Path(source), source)
    entries = list(records.entries)
    if entries and "fields" not in entries[0][1]:
        return _read_legacy(Records(entries, records.unit), source, columns)
    return _read(Records(entries, records.unit), source, columns)


def read_argilla_table(source: str, columns: Mapping[str, str]) -> RawTable:
    """A Parquet file, or folder of them, that Argilla exported to the Hugging Face Hub."""
    return read_flat_argilla(read_table(source).frame, source, columns)


def is_flat_argilla(frame: pd.DataFrame) -> bool:
    """Whether a table has Argilla's columns `label.responses`, or lists of {user_id, value, status}."""
    return any(str(name).endswith(".responses") for name in frame) or bool(_question_columns(frame))


def read_flat_argilla(frame: pd.DataFrame, source: str, columns: Mapping[str, str]) -> RawTable:
    """A table as Argilla exports it to the Hub: one row per record, responses in list columns.

    Args:
        frame: Argilla 2: `label.responses`, `label.responses.users`, `label.responses.status` (lists);
            Argilla 1: each question a list of {user_id, value, status}.
    """
    records = [_nested(record, frame) for record in frame.astype(object).to_dict("records")]
    return _read(Records(list(enumerate(records, start=1)), "record"), source, columns)


def _read(records: Records, source: str, columns: Mapping[str, str]) -> RawTable:
    rows = Rows(source, records.unit)
    entries = list(records.entries)
    for place, record in entries:
        if not isinstance(record.get("fields"), dict) or not isinstance(
            record.get("responses"), dict | list | None
        ):
            raise rows.error(
                place,
                "this is not an Argilla record (no `fields` and `responses`).",
                "Keep one format per file.",
            )
    responses = [list(_responses(record, rows, place)) for place, record in entries]
    question = choose_question((response[0] for given in responses for response in given), columns, rows)
    for (place, record), given in zip(entries, responses, strict=True):
        chosen = choose_text_fields(record["fields"], columns, rows, place)
        item = {ours: record["fields"][theirs] for ours, theirs in chosen.items()}
        item |= attributes(record["fields"], tuple(chosen.values())) | attributes(
            record.get("metadata") or {}
        )
        identity = record.get("external_id") or record.get("id")
        item |= {"item_id": identity} if identity is not None else {}
        if not given:
            rows.skip("record without responses")
        for name, annotator, value, status in given:
            if name != question:
                continue
            if status not in ("submitted", "completed"):
                rows.skip(f"response ({status})")
            else:
                rows.add(place, item, annotator, value)
    return rows.table()


def _responses(record: Mapping[str, Any], rows: Rows, place: int) -> Iterator[Response]:
    """All responses of a record, of either version."""
    responses = record.get("responses") or {}
    try:
        if isinstance(responses, dict):
            for question, given in responses.items():
                for response in given or ():
                    status = str(response.get("status") or "submitted")
                    yield question, _annotator(response.get("user_id")), response["value"], status
            return
        for response in responses:
            status = str(response.get("status") or "submitted")
            for question, answer in (response.get("values") or {"": {"value": None}}).items():
                yield question, _annotator(response.get("user_id")), answer["value"], status
    except (TypeError, KeyError, AttributeError) as error:
        raise rows.error(
            place, "a response is not as Argilla writes it.", "Export the records again."
        ) from error


def _annotator(user: object) -> object:
    return None if user in (None, "None", "") else user


def _read_legacy(records: Records, source: str, columns: Mapping[str, str]) -> RawTable:
    rows = Rows(source, records.unit)
    for place, record in records.entries:
        if "annotation" not in record:
            raise rows.error(
                place, "this is not an Argilla 1 record (no `annotation`).", "Keep one format per file."
            )
        if record.get("status") == "Discarded":
            rows.skip("record (discarded)")
        elif record["annotation"] is None:
            rows.skip("record without annotation")
        else:
            inputs = record.get("inputs") or {"text": record.get("text")}
            inputs = inputs if isinstance(inputs, dict) else {"text": inputs}
            chosen = choose_text_fields(inputs, columns, rows, place)
            item = {ours: inputs[theirs] for ours, theirs in chosen.items()} | attributes(
                record.get("metadata") or {}
            )
            item |= {"item_id": record["id"]} if record.get("id") is not None else {}
            rows.add(place, item, _annotator(record.get("annotation_agent")), record["annotation"])
    return rows.table()


def _question_columns(frame: pd.DataFrame) -> list[str]:
    def is_question(values: pd.Series) -> bool:
        lists = [
            value
            for value in values.head(100)
            if hasattr(value, "__len__") and not isinstance(value, str | dict)
        ]
        entries = [entry for value in lists for entry in value]
        return bool(entries) and all(
            isinstance(entry, dict) and {"user_id", "value"} <= set(entry) for entry in entries
        )

    return [str(name) for name in frame if is_question(frame[name])]


def _nested(record: Mapping[Any, Any], frame: pd.DataFrame) -> dict[str, Any]:
    """One flattened record in the nested form of Argilla 2."""
    responses: dict[str, list[dict[str, Any]]] = {}
    for name in (str(name) for name in frame if str(name).endswith(".responses")):
        values = _list(record[name])
        users = _list(record.get(f"{name}.users")) or [None] * len(values)
        states = _list(record.get(f"{name}.status")) or ["submitted"] * len(values)
        responses[name.removesuffix(".responses")] = [
            {"value": value, "user_id": user, "status": status}
            for value, user, status in zip(values, users, states, strict=True)
        ]
    for name in _question_columns(frame):
        responses[name] = _list(record[name])
    fields = {
        name: value
        for name, value in record.items()
        if isinstance(value, str) and not ("." in name or name.endswith("-suggestion") or name in _NOT_FIELDS)
    }
    return {"id": record.get("external_id") or record.get("id"), "fields": fields, "responses": responses}


_NOT_FIELDS = ("id", "external_id", "_server_id", "status", "metadata", "inserted_at", "updated_at")


def _list(value: Any) -> list[Any]:
    return list(value) if value is not None and hasattr(value, "__len__") else []
