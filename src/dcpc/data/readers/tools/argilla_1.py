"""Argilla 1: feedback records, and its older text-classification records.

Feedback: `responses` is a list of {user_id, status, values: {question: {value}}}. Older records hold one `annotation`
by one `annotation_agent`. What is discarded, and predictions, are left out, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from dcpc.data.raw import RawTable
from dcpc.data.readers.formats import Format, Peek
from dcpc.data.readers.records import Records, read_records
from dcpc.data.readers.rows import Rows, attributes, texts_of
from dcpc.data.readers.tools.argilla import annotator, read_nested


def read_argilla_1(source: str, columns: Mapping[str, str]) -> RawTable:
    """Argilla 1 feedback records, or its older text-classification records."""
    records = read_records(Path(source), source)
    entries = list(records.entries)
    if entries and "fields" not in entries[0][1]:
        return _read_legacy(Records(entries, records.unit), source, columns)
    return read_nested(Records(entries, records.unit), source, columns)


def _read_legacy(records: Records, source: str, columns: Mapping[str, str]) -> RawTable:
    rows = Rows(source, records.unit)
    for place, record in records.entries:
        if "annotation" not in record:
            raise rows.error(
                place, "this is not an Argilla 1 record (no `annotation`).", "Keep one format per file."
            )
        rows.record(
            place,
            partial(_item, record, columns, rows, place),
            record,
        )
        if record.get("status") == "Discarded":
            rows.skip("record (discarded)")
        elif record["annotation"] is None:
            rows.skip("record without annotation")
        else:
            item, who = _item(record, columns, rows, place), annotator(record.get("annotation_agent"))
            rows.add(place, item, who, record["annotation"])
    return rows.table()


def _item(record: Mapping[str, Any], columns: Mapping[str, str], rows: Rows, place: int) -> dict[str, Any]:
    inputs = record.get("inputs") or {"text": record.get("text")}
    item, _ = texts_of(inputs if isinstance(inputs, dict) else {"text": inputs}, columns, rows, place)
    metadata = record.get("metadata")
    item |= attributes(metadata if isinstance(metadata, dict) else {})
    return item | ({"item_id": record["id"]} if record.get("id") is not None else {})


def _recognises(peek: Peek) -> bool:
    record = peek.record
    feedback = isinstance(record.get("fields"), dict) and isinstance(record.get("responses"), list)
    return peek.kind == "json" and (feedback or {"annotation", "annotation_agent"} <= record.keys())


FORMAT = Format(read_argilla_1, _recognises)
