"""Argilla's records flattened, one column per field and question, as its exports to the Hugging Face Hub are.

Argilla 2: `label.responses`, `label.responses.users`, `label.responses.status` (lists), in Parquet, or in JSON by
`to_list(flatten=True)`. Argilla 1: each question a list of {user_id, value, status}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dcpc.data.raw import RawTable
from dcpc.data.readers.chats import is_chat
from dcpc.data.readers.formats import Peek, record_format
from dcpc.data.readers.records import Records
from dcpc.data.readers.tools.argilla import read_nested
from dcpc.errors import DataError

_NOT_FIELDS = ("id", "external_id", "_server_id", "status", "metadata", "inserted_at", "updated_at")


def read_flat_argilla(records: Records, source: str, columns: Mapping[str, str]) -> RawTable:
    """Flattened records: responses in lists under names with a dot, or a list of {user_id, value, status}."""
    entries = list(records.entries)
    questions = _questions([record for _, record in entries])
    nested = [
        (place, _nested(record, questions, f"{source}, {records.unit} {place}")) for place, record in entries
    ]
    return read_nested(Records(nested, records.unit), source, columns)


def _nested(record: Mapping[str, Any], questions: list[str], where: str) -> dict[str, Any]:
    """One flattened record in the nested form of Argilla 2."""
    responses: dict[str, list[dict[str, Any]]] = {}
    for name in (name for name in record if name.endswith(".responses")):
        values = _list(record[name])
        users = _list(record.get(f"{name}.users")) or [None] * len(values)
        states = _list(record.get(f"{name}.status")) or ["submitted"] * len(values)
        if not len(values) == len(users) == len(states):
            raise DataError(
                f"{len(values)} responses by {len(users)} users with {len(states)} statuses.",
                where=f'{where}, column "{name}"',
                fix="Export the records again.",
            )
        responses[name.removesuffix(".responses")] = [
            {"value": value, "user_id": user, "status": status}
            for value, user, status in zip(values, users, states, strict=True)
        ]
    for name in questions:
        responses[name] = _list(record[name])
    fields = {
        name: value
        for name, value in record.items()
        if (isinstance(value, str) or is_chat(value))
        and not ("." in name or name in questions or name.endswith("-suggestion") or name in _NOT_FIELDS)
    }
    identity = record.get("external_id")
    return {
        "id": record.get("id") if identity is None else identity,
        "fields": fields,
        "responses": responses,
    }


def _questions(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """The fields of Argilla 1's export that are lists of responses."""
    found: dict[str, bool] = {}
    for record in records[:100]:
        for name, value in record.items():
            for entry in value if isinstance(value, list) else ():
                is_response = isinstance(entry, dict) and {"user_id", "value"} <= entry.keys()
                found[name] = found.get(name, True) and is_response
    return [name for name, is_question in found.items() if is_question]


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _recognises(peek: Peek) -> bool:
    flat = any(name.endswith(".responses") for name in peek.columns)
    return peek.kind in ("json", "parquet") and (flat or bool(_questions(peek.records)))


FORMAT = record_format(read_flat_argilla, _recognises)
