"""JSON documents whose records are not at the top: in an envelope, or column by column.

`{"data": [{...}, …], "meta": …}` as programs answer; `{"rows": [{"row": {...}}, …]}` of the Hub's viewer;
`{"columns": [...], "data": [[...], …]}`, `{"text": {"0": …}}` and `{"text": [...]}` as pandas writes them.
`{"anna": [{...}, …], "bert": [{...}, …]}`, a list of records for each annotator, or for each split. Several answers
of a server, page after page. Arrays below one of the columns' names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dcpc.data.advice import OTHER_NAMES
from dcpc.data.splits import TEST_NAMES, TRAIN_NAMES, VALIDATION_NAMES

ENVELOPES = (
    "data", "rows", "annotations", "records", "items", "results", "result", "examples", "instances", "judgements",
    "judgments", "payload", "response", "samples",
    "entries", "tasks", "documents", "responses", "values", "dataset", "hits",
)  # fmt: skip
"""Names of the list in an envelope."""

_OF_A_RECORD = {"text", "id", "item_id", "uid", "source", "label", "annotators", "_input_hash", "prompt"}
"""Names that only a record has: such an object is one, whatever lists it holds."""

_PAGING = {
    "page", "pages", "next", "previous", "prev", "count", "total", "total_count", "total_pages", "per_page",
    "page_size", "offset", "limit", "cursor", "next_cursor", "next_page", "has_more", "links", "_links", "meta",
    "metadata", "status", "success", "ok", "object", "url",
}  # fmt: skip
"""What an answer of a server says of itself, beside its records."""

_MOST_DEEP = 3


def unwrapped(value: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str] | None:
    """The records in an object, and in words how they were found; None where it is a record, or a mapping to them.

    Args:
        value: what a JSON document holds.
    """
    return (
        _in_columns_and_rows(value)
        or _column_by_column(value)
        or _lists_side_by_side(value)
        or _in_envelope(value)
        or _lists_by_name(value)
    )


def of_page(value: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The records in one of several answers of a server, `{"results": [{...}, …], "next": …}`; None for all else."""
    named = [name for name in value if name not in _PAGING]
    if len(named) != 1 or named[0] not in ENVELOPES or not isinstance(value[named[0]], list):
        return None
    records = value[named[0]]
    return records if all(isinstance(record, dict) for record in records) else None


def of_arrays(rows: list[Any]) -> list[dict[str, Any]] | None:
    """The records of arrays of which the first has the names of the columns; None for anything else."""
    names = rows[0] if rows else None
    if not isinstance(names, list) or len(names) < 2 or not all(isinstance(name, str) for name in names):
        return None
    known = {name.strip().casefold() for name in names} & _COLUMNS
    if len(known) < 2 or len(set(names)) < len(names):
        return None
    if not all(isinstance(row, list) and len(row) == len(names) for row in rows):
        return None
    return [dict(zip(names, row, strict=True)) for row in rows[1:]]


def _in_envelope(value: Mapping[str, Any], depth: int = 0) -> tuple[list[dict[str, Any]], str] | None:
    if _OF_A_RECORD & value.keys():
        return None
    for name in ENVELOPES:
        inner = value.get(name)
        if isinstance(inner, Mapping) and depth < _MOST_DEEP:
            found = _in_envelope(inner, depth + 1) or _lists_by_name(inner)
            if found is not None:
                return found[0], f'"{name}", {found[1]}'
            continue
        if not isinstance(inner, list) or not inner or not all(isinstance(each, dict) for each in inner):
            continue
        if any(
            isinstance(value.get(other), dict | list) and other == "data" for other in value if other != name
        ):
            return None  # a task with its data and annotations
        if all(set(each) >= {"row_idx", "row"} and isinstance(each["row"], dict) for each in inner):
            inner = [each["row"] for each in inner]
        return inner, f'"{name}"{_others(value, name)}'
    return None


def _others(value: Mapping[str, Any], taken: str) -> str:
    """In words, lists of records beside the one that was taken."""
    left = [
        f'"{name}" ({len(records):,})'
        for name, records in value.items()
        if name != taken and isinstance(records, list) and any(isinstance(each, dict) for each in records)
    ]
    return f" (not from its other lists: {', '.join(left)})" if left else ""


def _in_columns_and_rows(value: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str] | None:
    names, rows = value.get("columns"), value.get("data")
    if not isinstance(names, list) or not isinstance(rows, list) or not rows:
        return None
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        return None
    if not all(isinstance(row, list) and len(row) == len(names) for row in rows):
        return None
    return [dict(zip(names, row, strict=True)) for row in rows], '"columns" and "data"'


def _column_by_column(value: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str] | None:
    """Column → number of the row → value, as pandas writes a table."""
    columns = list(value.values())
    if len(columns) < 2 or not all(isinstance(column, dict) and column for column in columns):
        return None
    rows = list(columns[0])
    numbered = all(name.isdecimal() for name in rows) and not all(name.isdecimal() for name in value)
    if not numbered or any(column.keys() != columns[0].keys() for column in columns[1:]):
        return None
    return [{name: column[row] for name, column in value.items()} for row in rows], "columns of numbered rows"


def _lists_side_by_side(value: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str] | None:
    """Column → list of its values."""
    columns = list(value.values())
    if len(columns) < 2 or not all(isinstance(column, list) and column for column in columns):
        return None
    plain = all(not isinstance(each, dict) for column in columns for each in column)
    if not plain or any(len(column) != len(columns[0]) for column in columns):
        return None
    return [dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)], "columns, each a list"


def _lists_by_name(value: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str] | None:
    """Annotator, or split → list of the records; they have a text and a label each, so that it is no other list."""
    lists = list(value.values())
    if len(lists) < 2 or not all(isinstance(records, list) and records for records in lists):
        return None
    records = [record for each in lists for record in each]
    if not all(isinstance(record, dict) for record in records) or value.keys() & {*ENVELOPES, *_OF_A_RECORD}:
        return None
    shared = set(records[0]).intersection(*records)
    if not all(shared & {ours, *OTHER_NAMES[ours]} for ours in ("text", "label")):
        return None
    column = "split" if {name.strip().casefold() for name in value} <= _SPLITS else "annotator_id"
    if any(column in record for record in records):
        return None
    named = [{**record, column: name} for name, each in value.items() for record in each]
    return named, "lists by split" if column == "split" else "lists by annotator"


_COLUMNS = {name for ours, others in OTHER_NAMES.items() for name in (ours, *others)}
"""Names by which columns are known: a first array that has two of them holds names, not values."""
_SPLITS = {*TRAIN_NAMES, *VALIDATION_NAMES, *TEST_NAMES}
