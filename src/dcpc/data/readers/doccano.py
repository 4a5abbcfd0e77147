"""Doccano exports: a zip with one file per annotator, who is named by the file.

`all` (a project whose members share their labels) and `unknown` (nobody's) name no annotator. Entries without
a label are left out and counted. Nothing is ever unpacked to disk.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from dcpc.data.raw import RawTable
from dcpc.data.readers.rows import Rows, attributes, choose_text_fields
from dcpc.data.readers.text import parse_json
from dcpc.errors import DataError

MOST_BYTES = 2 << 30
"""Unpacked size that is refused: 2 GiB."""
MOST_RATIO = 200
"""Compression above which a large member is taken for a zip bomb; texts compress to a third or a tenth."""
_LARGE = 16 << 20
_NOBODY = ("all", "unknown")
_OWN = ("id", "label", "labels", "Comments")


def read_doccano(source: str, columns: Mapping[str, str]) -> RawTable:
    """A Doccano zip.

    Raises:
        DataError: if the zip is malformed, encrypted, a bomb, has a path that leads out of it, or files of
            different kinds.
    """
    rows = Rows(source, "entry")
    for name, text in _members(source):
        annotator = PurePosixPath(name).stem
        member = Rows(f"{source}, {name}", "line")
        for place, entry in _entries(name, text, member):
            _add(rows, member, place, entry, None if annotator in _NOBODY else annotator, columns)
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
    label = entry.get(columns.get("label", "label"), entry.get("labels"))
    if label in (None, "", []):
        rows.skip("entry without a label")
        return
    if isinstance(label, list) and any(isinstance(part, list | dict) for part in label):
        raise member.error(
            place, "the labels are spans in the text.", "Export a text classification project."
        )
    fields = {name: value for name, value in entry.items() if name not in _OWN}
    chosen = choose_text_fields(fields, columns, member, place)
    item = {ours: fields[theirs] for ours, theirs in chosen.items()} | attributes(
        fields, tuple(chosen.values())
    )
    item |= {"item_id": entry["id"]} if "id" in entry else {}
    rows.add(place, item, annotator, label)


def _entries(name: str, text: str, member: Rows) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line and entry of one member: JSON Lines, a JSON array, or CSV (`a#b` stays one label)."""
    if name.endswith(".csv"):
        frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
        for place, record in enumerate(frame.to_dict("records"), start=2):
            yield place, {str(key): value for key, value in record.items()}
        return
    entries: Iterator[tuple[int, Any]]
    if text.lstrip().startswith("["):
        entries = enumerate(parse_json(text, member.source), start=1)
    else:
        lines = [(place, line) for place, line in enumerate(text.split("\n"), start=1) if line.strip()]
        entries = ((place, parse_json(line, member.source, line=place)) for place, line in lines)
    for place, entry in entries:
        if not isinstance(entry, dict):
            raise member.error(
                place, f"a JSON object is needed, found {type(entry).__name__}.", "Export again."
            )
        yield place, entry


def _members(source: str) -> Iterator[tuple[str, str]]:
    """Name and text of each member of the zip, after it has been checked as a whole."""
    try:
        with zipfile.ZipFile(source) as archive:
            members = [
                m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")
            ]
            _check(members, source)
            for member in members:
                yield member.filename, _text(archive, member, source)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError) as error:
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
    if len(kinds) > 1 or not kinds <= {".jsonl", ".json", ".csv"}:
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
