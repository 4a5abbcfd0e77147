"""Doccano exports: a zip with one file per annotator, who is named by the file; the same unpacked; or one such file.

`all` (a project whose members share their labels) and `unknown` (nobody's) name no annotator. Entries without
a label are left out and counted. Nothing is ever unpacked to disk.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from dcpc.data.advice import OTHER_NAMES
from dcpc.data.raw import RawTable
from dcpc.data.readers.formats import Format, Peek
from dcpc.data.readers.rows import Rows, attributes, texts_of
from dcpc.data.readers.text import parse_json, read_text
from dcpc.errors import DataError

MOST_BYTES = 2 << 30
"""Unpacked size that is refused: 2 GiB."""
MOST_RATIO = 200
"""Compression above which a large member is taken for a zip bomb; texts compress to a third or a tenth."""
_LARGE = 16 << 20
_NOBODY = ("all", "unknown")
_OWN = ("id", "label", "labels", "Comments")
_KINDS = (".jsonl", ".json", ".csv")


def read_doccano(source: str, columns: Mapping[str, str]) -> RawTable:
    """A Doccano zip, the folder that it unpacks to, or one file of it (whose name is then no annotator's).

    Raises:
        DataError: if the zip is malformed, encrypted, a bomb, has a path that leads out of it, or files of
            different kinds.
    """
    rows = Rows(source, "entry")
    alone = (
        Path(source).is_file() and not zipfile.is_zipfile(source) and Path(source).suffix.lower() != ".zip"
    )
    for name, text in _members(source):
        annotator = PurePosixPath(name).stem
        member = Rows(source if alone else f"{source}, {name}", "line")
        nobody = alone or annotator in _NOBODY
        for place, entry in _entries(name, text, member):
            if alone and "annotator_id" in entry:
                raise member.error(
                    place, "Doccano names annotators by files, this has a column.", "Use --format long."
                )
            _add(rows, member, place, entry, None if nobody else annotator, columns)
    return rows.table()


def _add(
    rows: Rows,
    member: Rows,
    place: int,
    entry: Mapping[str, Any],
    annotator: str | None,
    columns: Mapping[str, str],
) -> None:
    if "text" not in columns and "data" in entry and "text" not in entry:
        columns = {**columns, "text": "data"}  # Doccano before 1.7 wrote `data`
    fields = {name: value for name, value in entry.items() if name not in _OWN}

    def item() -> dict[str, Any]:
        found, chosen = texts_of(fields, columns, member, place)
        found |= attributes(fields, tuple(chosen.values()))
        return found | ({"item_id": entry["id"]} if "id" in entry else {})

    rows.record(place, item, entry)
    label = entry.get(columns.get("label", "label"), entry.get("labels"))
    if label in (None, "", []):
        rows.skip("entry without a label")
        return
    if isinstance(label, list) and any(isinstance(part, list | dict) for part in label):
        raise member.error(
            place, "the labels are spans in the text.", "Export a text classification project."
        )
    rows.add(place, item(), annotator, label)


def _entries(name: str, text: str, member: Rows) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line and entry of one member: JSON Lines, a JSON array, or CSV (`a#b` stays one label)."""
    if name.lower().endswith(".csv"):
        yield from _csv_entries(text, member)
        return
    entries: Iterator[tuple[int, Any]]
    if text.lstrip().startswith("["):
        entries = iter(enumerate(parse_json(text, member.source), start=1))
    else:
        lines = [(place, line) for place, line in enumerate(text.split("\n"), start=1) if line.strip()]
        entries = ((place, parse_json(line, member.source, line=place)) for place, line in lines)
    for place, entry in entries:
        if not isinstance(entry, dict):
            raise member.error(
                place, f"a JSON object is needed, found {type(entry).__name__}.", "Export again."
            )
        yield place, entry


def _csv_entries(text: str, member: Rows) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, index_col=False)
    except pd.errors.EmptyDataError:
        return  # an annotator who did nothing
    except pd.errors.ParserError as error:
        raise DataError(
            f"malformed table: {str(error).strip().splitlines()[-1]}",
            where=member.source,
            fix="Export again.",
        ) from error
    for place, record in enumerate(frame.to_dict("records"), start=2):
        yield place, {str(key): value for key, value in record.items()}


def _members(source: str) -> Iterator[tuple[str, str]]:
    """Name and text of each file, of a zip after it has been checked as a whole."""
    path = Path(source)
    if path.is_dir():
        for file in sorted(file for file in path.rglob("*") if file.suffix.lower() in _KINDS):
            yield file.name, read_text(file, str(file))
        return
    if not zipfile.is_zipfile(path) and path.suffix.lower() != ".zip":
        yield path.name, read_text(path, source)
        return
    try:
        with zipfile.ZipFile(source) as archive:
            members = [
                m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")
            ]
            _check(members, source)
            for member in members:
                yield member.filename, _text(archive, member, source)
    except (
        zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, zlib.error, LZMAError
    ) as error:  # fmt: skip
        raise DataError(
            f"malformed zip: {error}.", where=source, fix="Export or download it again."
        ) from error


def _check(members: list[zipfile.ZipInfo], source: str) -> None:
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise DataError(
                f'the member "{member.filename}" leads out of the zip.',
                where=source,
                fix="Do not trust this file.",
            )
        if member.flag_bits & 1:
            raise DataError(
                f'"{member.filename}" is encrypted.', where=source, fix="Export without a password."
            )
        if member.file_size > _LARGE and member.file_size > MOST_RATIO * max(member.compress_size, 1):
            raise DataError(
                f'"{member.filename}" unpacks to more than {MOST_RATIO} times its size.',
                where=source,
                fix="This looks like a zip bomb: do not trust this file.",
            )
    if sum(member.file_size for member in members) > MOST_BYTES:
        raise DataError(
            f"unpacks to more than {MOST_BYTES >> 30} GiB.",
            where=source,
            fix="Export in parts, or as JSON Lines.",
        )
    kinds = {PurePosixPath(member.filename).suffix.lower() for member in members}
    if not kinds:
        raise DataError("the zip is empty.", where=source, fix="Export it again.")
    if len(kinds) > 1 or not kinds <= set(_KINDS):
        raise DataError(
            f"a Doccano zip holds .jsonl, .json or .csv files of one kind, not {', '.join(sorted(kinds))}.",
            where=source,
            fix="Unpack it and name the file, or export again.",
        )


def _text(archive: zipfile.ZipFile, member: zipfile.ZipInfo, source: str) -> str:
    with archive.open(member) as file:
        content = file.read(MOST_BYTES)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"byte {error.start + 1:,} is not UTF-8 text.",
            where=f"{source}, {member.filename}",
            fix="Export again.",
        ) from error


def _recognises(peek: Peek) -> bool:
    if peek.kind == "json":
        return _is_entry(peek.record) and not peek.mapping
    if peek.kind == "zip":
        return "[Content_Types].xml" not in peek.members and _zip_is_doccano(peek.path)
    if peek.kind != "folder" or not peek.members:
        return False
    names = [name for name in peek.members if PurePosixPath(name).suffix.lower() in _KINDS]
    kinds = {PurePosixPath(name).suffix.lower() for name in names}
    files = [peek.path / name for name in names]
    firsts = [first for file in files if (first := _first_line(file)) is not None]
    return kinds == {".jsonl"} and bool(firsts) and all(_is_entry(first) for first in firsts)


def _first_line(path: Path) -> dict[str, Any] | None:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return _object(next((line for line in file if line.strip()), ""))


def _object(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_entry(record: Mapping[str, Any]) -> bool:
    """Whether a JSON object is Doccano's: it has a list of labels and an id, and nobody's name."""
    labels = record.get("label", record.get("labels"))
    if not isinstance(labels, list) or not isinstance(record.get("text", record.get("data")), str):
        return False
    own = "Comments" in record or ("id" in record and not _SOMEBODY & {key.casefold() for key in record})
    return own and all(isinstance(label, str | int) for label in labels)


_SOMEBODY = {"annotator_id", "annotators", "accept", *OTHER_NAMES["annotator_id"]}


def _zip_is_doccano(path: Path) -> bool:
    """Whether the first file of a zip that can be told is Doccano's: it has no column of annotators.

    A file alone may be any table: Doccano's has ids, and lists of labels in JSON. No other files lie
    in its zips.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            members = [member for member in members if not member.filename.startswith("__MACOSX/")]
            if not {PurePosixPath(member.filename).suffix.lower() for member in members} <= set(_KINDS):
                return False
            for member in members:
                with archive.open(member) as file:
                    head = file.read(_HEAD).decode("utf-8-sig", errors="replace").lstrip()
                if head:
                    return _begins_like_doccano(head, alone=len(members) == 1)
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError, zlib.error, LZMAError):
        pass
    return True  # whose reader says what is wrong


_HEAD = 1 << 16


def _begins_like_doccano(head: str, *, alone: bool) -> bool:
    line = head.splitlines()[0]
    if head.startswith("["):
        with suppress(ValueError, RecursionError):
            record, _ = json.JSONDecoder().raw_decode(head[1:].lstrip())
            return not isinstance(record, dict) or _is_entry(record)
        return True
    record = _object(line)
    if record is not None:
        return _is_entry(record) if alone else not _names_somebody(record)
    names = next(csv.reader([line]))
    return not _names_somebody(names) and ("id" in names or not alone)


def _names_somebody(names: Iterable[object]) -> bool:
    return not _SOMEBODY.isdisjoint(str(name).strip().casefold() for name in names)


FORMAT = Format(read_doccano, _recognises)
