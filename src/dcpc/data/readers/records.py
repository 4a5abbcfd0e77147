"""Records with their places, whether they stand in a JSON array, a mapping, one per line, or in Parquet rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dcpc.data.raw import count
from dcpc.data.readers.json_array import array_entries, is_json_array
from dcpc.data.readers.text import json_lines, parse_json, read_text, without_closing_commas
from dcpc.data.readers.wrapped import of_arrays, of_page, unwrapped
from dcpc.errors import DataError


@dataclass(frozen=True)
class Records:
    """The objects of a file, in order.

    Attributes:
        entries: (place, object) pairs; may be a one-way stream.
        unit: what a place counts: `line` of JSON Lines, `record` of an array, `entry` of a mapping, `row` of Parquet.
        keys: in a mapping, the key of each entry, by place − 1; else empty.
        notes: how they were found in a document that holds more, one sentence each; of an array or of lines those
            that the entries bring, once they have been read.
    """

    entries: Iterable[tuple[int, dict[str, Any]]]
    unit: str
    keys: tuple[str, ...] = ()
    notes: Sequence[str] = ()


def is_json_lines(path: Path, source: str) -> bool:
    """Whether the first line is an object by itself and either more lines follow or it is one flat record."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = next((line for line in file if line.strip()), "")
        more = any(line.strip() for line in file)
    try:
        value = json.loads(without_closing_commas(first)[0])
    except (ValueError, RecursionError):
        # A broken first line of JSON Lines, or the first line of a document over many lines.
        return path.suffix.lower() in (".jsonl", ".ndjson", ".manifest")
    return isinstance(value, dict) and (more or not (_is_mapping(value) or unwrapped(value)))


def _parquet_rows(path: Path, source: str) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file as plain Python values, a batch at a time."""
    try:
        for batch in pq.ParquetFile(path).iter_batches(10_000):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise no_whole_parquet(error, source) from error


def no_whole_parquet(error: Exception, source: str) -> DataError:
    """What is said of a Parquet file that Arrow cannot read."""
    return DataError(
        f"not a whole Parquet file ({str(error).splitlines()[0]}).",
        where=source,
        fix="Export the file again.",
    )


def _is_mapping(value: dict[str, Any]) -> bool:
    """Whether an object is id → record: its entries are objects, and have a name in common if they are several."""
    if not value or not all(isinstance(entry, dict) for entry in value.values()):
        return False
    return bool(set.intersection(*(set(entry) for entry in value.values())))


def is_parquet(path: Path) -> bool:
    """Whether a file is a Parquet file, by its first bytes."""
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def read_records(path: Path, source: str) -> Records:
    """The records of a JSON, JSON Lines or Parquet file; lines and the objects of an array are streamed.

    Raises:
        DataError: if the file is empty, malformed, or holds something else than objects.
    """
    if is_parquet(path):
        return Records(enumerate(_parquet_rows(path, source), start=1), "row")
    if is_json_array(path):
        return _of_array(path, source)
    return _of_json(path, source)


def _of_array(path: Path, source: str) -> Records:
    notes: list[str] = []

    def whole() -> Iterable[tuple[int, dict[str, Any]]]:
        found = _of_json(path, source)
        notes.extend(found.notes)
        return found.entries

    return Records(_without_pages(array_entries(path, source, whole, notes), notes), "record", notes=notes)


def _without_pages(
    entries: Iterable[tuple[int, dict[str, Any]]], notes: list[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Entries as they are; where the first is a page of records, the records of all pages, counted through."""
    pages = iter(entries)
    first = next(pages, None)
    if first is None:
        return
    if of_page(first[1]) is None:
        yield first
        yield from pages
        return
    notes.append("The records were taken from pages, each of which has a list of them.")
    done = 0
    for _, page in chain([first], pages):
        records = of_page(page)
        for record in [page] if records is None else records:
            done += 1
            yield done, record


def _of_json(path: Path, source: str) -> Records:
    """The records of a JSON file, which is read whole, or of JSON Lines."""
    if is_json_lines(path, source):
        commas = _first_line_closes_with_a_comma(path)
        said = ["Commas that nothing follows, as at the end of line 1, were skipped."] if commas else []
        lines = json_lines(path, source, closing_commas=commas)
        return Records(_without_pages(lines, said), "line", notes=said)
    text = read_text(path, source)
    if not text.strip():
        raise DataError("the file is empty.", where=source, fix="Check the file or the export.")
    value, notes = _arrays_by_line(text, source) or _document(text, source)
    if isinstance(value, dict):
        if (found := unwrapped(value)) is not None:
            note = f"The records were taken from {found[1]} of the JSON document."
            return Records(list(enumerate(found[0], start=1)), "record", notes=(*notes, note))
        if not _is_mapping(value):
            return Records([(1, value)], "record", notes=notes)
        return Records(list(enumerate(value.values(), start=1)), "entry", tuple(value), notes)
    if isinstance(value, list):
        if (named := of_arrays(value)) is not None:
            return Records(
                list(enumerate(named, start=2)),
                "record",
                notes=(*notes, "The first array names the columns."),
            )
        for number, entry in enumerate(value, start=1):
            if not isinstance(entry, dict):
                raise DataError(
                    f"a JSON object is needed, found {type(entry).__name__}.",
                    where=f"{source}, record {number}",
                    fix="Write an array of objects, [{...}, {...}]."
                    if not isinstance(entry, list)
                    else "Write an array of objects, [{...}, {...}], or begin with an array of the columns' names: "
                    '["text", "annotator_id", "label"].',
                )
        return Records(list(enumerate(value, start=1)), "record", notes=notes)
    raise DataError(
        f"JSON objects are needed, found {type(value).__name__}.", where=source, fix="Export the file again."
    )


def _arrays_by_line(text: str, source: str) -> tuple[list[Any], tuple[str, ...]] | None:
    """What arrays hold that stand one per line: their records, or else the arrays. None for one value alone."""
    numbered_lines = [(n, line) for n, line in enumerate(text.split("\n"), start=1) if line.strip()]
    try:
        if len(numbered_lines) < 2 or not isinstance(json.loads(numbered_lines[0][1]), list):
            return None
    except (ValueError, RecursionError):
        return None  # an array over many lines
    values = [(n, parse_json(line.rstrip(), source, line=n)) for n, line in numbered_lines]
    for n, value in values:
        if not isinstance(value, list):
            raise DataError(
                f"an array is needed as in the lines before, found {type(value).__name__}.",
                where=f"{source}, line {n}",
                fix="Write one object {...} per line.",
            )
    arrays = [value for _, value in values]
    if any(isinstance(each, dict) for array in arrays for each in array):
        note = f"The records were taken from arrays in {len(arrays):,} lines."
        return [each for array in arrays for each in array], (note,)
    return arrays, ()


def _first_line_closes_with_a_comma(path: Path) -> bool:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = next((line for line in file if line.strip()), "")
    return without_closing_commas(first)[1] > 0


def _document(text: str, source: str) -> tuple[Any, tuple[str, ...]]:
    """The value of a JSON document, also of one with commas that nothing follows, which a note counts."""
    try:
        return parse_json(text, source), ()
    except DataError:
        mended, commas = without_closing_commas(text)
        if not commas:
            raise
    return parse_json(mended, source), (f"{count(commas, 'comma')} that nothing follows skipped.",)
