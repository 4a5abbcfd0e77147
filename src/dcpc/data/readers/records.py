"""JSON records with their places, whether they stand in an array, a mapping, or one per line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcpc.data.readers.text import json_lines, parse_json, read_text
from dcpc.errors import DataError


@dataclass(frozen=True)
class Records:
    """The objects of a JSON file, in order.

    Attributes:
        entries: (place, object) pairs; may be a one-way stream.
        unit: what a place counts: `line` of JSON Lines, `record` of an array, `entry` of a mapping.
        keys: in a mapping, the key of each entry, by place − 1; else empty.
    """

    entries: Iterable[tuple[int, dict[str, Any]]]
    unit: str
    keys: tuple[str, ...] = ()


def is_json_lines(path: Path, source: str) -> bool:
    """Whether the first line is an object by itself and either more lines follow or it is one flat record."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = next((line for line in file if line.strip()), "")
        more = any(line.strip() for line in file)
    try:
        value = json.loads(first)
    except (json.JSONDecodeError, RecursionError):
        # A broken first line of JSON Lines, or the first line of a document over many lines.
        return path.suffix.lower() in (".jsonl", ".ndjson", ".manifest")
    return isinstance(value, dict) and (more or not _is_mapping(value))


def _is_mapping(value: dict[str, Any]) -> bool:
    return len(value) > 0 and all(isinstance(entry, dict) for entry in value.values())


def read_records(path: Path, source: str) -> Records:
    """The records of a JSON or JSON Lines file; lines are streamed.

    Raises:
        DataError: if the file is empty, malformed, or holds something else than objects.
    """
    if is_json_lines(path, source):
        return Records(json_lines(path, source), "line")
    text = read_text(path, source)
    if not text.strip():
        raise DataError("the file is empty.", where=source, fix="Check the file or the export.")
    value = parse_json(text, source)
    if isinstance(value, dict):
        if not _is_mapping(value):
            return Records([(1, value)], "record")
        return Records(list(enumerate(value.values(), start=1)), "entry", tuple(value))
    if isinstance(value, list):
        for number, entry in enumerate(value, start=1):
            if not isinstance(entry, dict):
                raise DataError(
                    f"a JSON object is needed, found {type(entry).__name__}.",
                    where=f"{source}, record {number}",
                    fix="Write an array of objects, [{...}, {...}].",
                )
        return Records(list(enumerate(value, start=1)), "record")
    raise DataError(
        f"JSON objects are needed, found {type(value).__name__}.", where=source, fix="Export the file again."
    )
