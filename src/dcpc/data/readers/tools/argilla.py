"""Argilla 2 records as JSON or JSON Lines, as `dataset.records.to_json`, `to_list` and `to_dict` give them.

`fields`, and `responses`: question → list of {value, user_id, status}. Drafts, discarded responses and suggestions
are not judgements: they are left out, and counted. A field may be a chat. A ranking of two responses is a preference:
the fields are named as what is ranked (`response_1`, `response-1`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dcpc.data.raw import RawTable
from dcpc.data.readers.chats import chat_text
from dcpc.data.readers.formats import Format, Peek
from dcpc.data.readers.records import Records, read_records
from dcpc.data.readers.rows import Rows, attributes, choose_question, texts_of

Response = tuple[str, object, object, str]
"""Question, annotator, value, status."""


def read_argilla(source: str, columns: Mapping[str, str]) -> RawTable:
    """Argilla 2 records."""
    return read_nested(_by_record(read_records(Path(source), source)), source, columns)


def _by_record(records: Records) -> Records:
    """Records, also where they were written as one object of lists (`to_dict(orient="names")`)."""
    entries = list(records.entries)
    if len(entries) == 1 and _is_by_column(entries[0][1]):
        names = entries[0][1]
        rows = [dict(zip(names, values, strict=True)) for values in zip(*names.values(), strict=True)]
        return Records(list(enumerate(rows, start=1)), "record")
    return Records(entries, records.unit, records.keys)


def _is_by_column(record: Mapping[str, Any]) -> bool:
    columns = [record.get("fields"), record.get("responses")]
    return all(isinstance(column, list) for column in columns) and (
        len({len(column) if isinstance(column, list) else -1 for column in record.values()}) == 1
    )


def read_nested(records: Records, source: str, columns: Mapping[str, str]) -> RawTable:
    """Records with `fields` and `responses`, of Argilla 1 or 2."""
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
        answers = [response for response in given if response[0] == question]
        ranked = _ranked_fields(record["fields"], answers)
        named = {**ranked, **{name: column for name, column in columns.items() if name != "label"}}
        rows.record(
            place,
            partial(_item, record, named, rows, place),
            record,
        )
        if not given:
            rows.skip("record without responses")
            continue
        item = _item(record, named, rows, place)
        for _, annotator, value, status in answers:
            if status not in ("submitted", "completed"):
                rows.skip(f"response ({status})")
            else:
                rows.add(place, item, annotator, _preference(value, ranked) if ranked else value)
    return rows.table()


def _item(record: Mapping[str, Any], columns: Mapping[str, str], rows: Rows, place: int) -> dict[str, Any]:
    fields = {
        name: value if (text := chat_text(value)) is None else text
        for name, value in record["fields"].items()
    }
    item, chosen = texts_of(fields, columns, rows, place)
    metadata = record.get("metadata")
    item |= attributes(fields, tuple(chosen.values()))
    item |= attributes(metadata if isinstance(metadata, dict) else {})
    identity = record.get("external_id") or record.get("id")
    return item | ({"item_id": identity} if identity is not None else {})


def _ranked_fields(fields: Mapping[str, Any], answers: list[Response]) -> dict[str, str]:
    """Which two fields a ranking compares, as our columns `response_a` and `response_b`; empty if it is none."""
    options = {plain_name(name) for *_, value, _ in answers for name in _ranks(value)}
    named = [name for name in fields if plain_name(name) in options]
    return {"response_a": named[0], "response_b": named[1]} if len(options) == len(named) == 2 else {}


def _ranks(value: object) -> dict[str, int]:
    """Option → rank, 1 the best, of a ranking: a list of {value, rank}, or of options from the best on."""
    if not isinstance(value, list | tuple) or not value:
        return {}
    if all(isinstance(one, dict) and {"value", "rank"} <= one.keys() for one in value):
        return {str(one["value"]): one["rank"] for one in value}
    return {}


def _preference(value: object, ranked: Mapping[str, str]) -> object:
    """`a`, `b` or `tie` from a ranking of the two responses."""
    ranks = {plain_name(name): rank for name, rank in _ranks(value).items()}
    first, second = (ranks.get(plain_name(ranked[name])) for name in ("response_a", "response_b"))
    if first is None or second is None:
        return None
    return "tie" if first == second else "a" if first < second else "b"


def plain_name(name: object) -> str:
    """A name without case and marks: `response-1`, `response_1` and `Response 1` are one."""
    return "".join(letter for letter in str(name).casefold() if letter.isalnum())


def _responses(record: Mapping[str, Any], rows: Rows, place: int) -> Iterator[Response]:
    """All responses of a record, of either version."""
    responses = record.get("responses") or {}
    try:
        if isinstance(responses, dict):
            for question, given in responses.items():
                for response in () if given is None else given:
                    status = str(response.get("status") or "submitted")
                    yield question, annotator(response.get("user_id")), plain_value(response["value"]), status
            return
        for response in responses:
            status = str(response.get("status") or "submitted")
            for question, answer in (response.get("values") or {"": {"value": None}}).items():
                yield question, annotator(response.get("user_id")), plain_value(answer["value"]), status
    except (TypeError, KeyError, AttributeError) as error:
        raise rows.error(
            place, "a response is not as Argilla writes it.", "Export the records again."
        ) from error


def annotator(user: object) -> object:
    """The user's id, None where Argilla names nobody."""
    return None if user in (None, "None", "") else user


def plain_value(value: object) -> object:
    """An answer without numpy's types, which Parquet brings."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return value.item() if isinstance(value, np.generic) else value


def _recognises(peek: Peek) -> bool:
    record = peek.record
    nested = isinstance(record.get("fields"), dict) and isinstance(record.get("responses"), dict)
    return peek.kind == "json" and (nested or _is_by_column(record))


FORMAT = Format(read_argilla, _recognises)
