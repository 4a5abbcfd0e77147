"""Which format a source is in, told from its content, not from its name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from dcpc.data.readers.assemble import plain
from dcpc.data.readers.crowd_kit import NAMES
from dcpc.data.readers.dialect import find_dialect
from dcpc.data.readers.formats import Peek
from dcpc.data.readers.huggingface import is_saved_dataset
from dcpc.data.readers.json_faults import refuse_what_stands_before
from dcpc.data.readers.packed import SUFFIXES, kind_of
from dcpc.data.readers.records import read_records
from dcpc.data.readers.tools import tool_formats
from dcpc.data.readers.wide import annotator_columns
from dcpc.errors import DataError

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


def check_source(source: str, *, hub: bool) -> None:
    """The source is a file that is not empty, or a folder; ids of the Hub pass if `hub`.

    Raises:
        DataError: if it is neither.
    """
    path = Path(source)
    if not path.exists():
        if hub and is_hub_id(source):
            return
        raise DataError("no such file or folder.", where=source, fix="Check the path.")
    if not path.is_file() and not path.is_dir():
        raise DataError(
            "is a device or pipe; a file is needed, which is read more than once.",
            where=source,
            fix="Write the data to a file first.",
        )
    if path.is_file() and not path.stat().st_size:
        raise DataError("the file is empty.", where=source, fix="Check the file or the export.")


def is_hub_id(source: str) -> bool:
    """Whether a source that is not here looks like `owner/name` on the Hugging Face Hub."""
    return bool(_HUB_ID.fullmatch(source)) and Path(source).suffix.lower() not in _SUFFIXES


_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".txt", ".xlsx", ".manifest", *SUFFIXES)


def detect_format(source: str, columns: Mapping[str, str]) -> str:
    """The name of the source's format in `dcpc.data.readers.FORMATS`.

    Args:
        source: a path that exists, or an id on the Hub.
        columns: as the user named them; a wide table is one without the label column.

    Raises:
        DataError: if the content is of a kind that no reader knows.
    """
    path = Path(source)
    if not path.exists() or (path.is_dir() and is_saved_dataset(path)):
        return "huggingface"
    peek = look_at(path, source)
    tool = next((name for name, tool in tool_formats().items() if tool.recognises(peek)), None)
    if tool is not None:
        return tool
    if peek.kind == "folder":
        return "long"
    if peek.kind == "json" and not peek.records:
        return "jsonl"
    if peek.kind == "parquet" and not peek.columns:
        return "parquet"  # whose reader says what is wrong
    return _table_format(list(peek.columns), columns)


def has_to_be_unpacked(source: str, format: str | None) -> bool:
    """Whether a file is compressed; a zip that an annotation tool wrote is read as it is.

    Raises:
        DataError: it is a document of an office program, which is a zip, too.
    """
    path = Path(source)
    kind = kind_of(path)
    if kind != "zip":
        return kind is not None
    peek = Peek(path, "zip")
    _refuse_documents(peek, source)
    if format is not None:
        return format != "doccano"
    return not any(tool.recognises(peek) for tool in tool_formats().values())


def _refuse_documents(peek: Peek, source: str) -> None:
    """Office documents are zips, too."""
    members = set(peek.members)
    kind = (
        "an Excel workbook"
        if any(name.startswith("xl/") for name in members)
        else "an OpenDocument spreadsheet"
        if {"mimetype", "content.xml"} <= members
        else "an Office document"
        if "[Content_Types].xml" in members
        else "a Numbers spreadsheet"
        if any(name.endswith(".iwa") for name in members)
        else None
    )
    if kind is None and Path(source).suffix.lower() in _SPREADSHEETS:
        kind = "a spreadsheet"
    if kind is not None:
        raise DataError(
            f"this is {kind}.",
            where=source,
            fix="Save the sheet as CSV (UTF-8): the one that holds the judgements, without merged cells and totals.",
        )


_SPREADSHEETS = (".xlsx", ".xlsm", ".xlsb", ".ods", ".numbers")


def look_at(path: Path, source: str) -> Peek:
    """The first records or the header of a file, or what a zip or folder holds.

    Raises:
        DataError: if it is malformed, or of a kind that no reader knows.
    """
    if path.is_dir():
        return Peek(path, "folder")
    with path.open("rb") as file:
        first = file.read(4096)
    head = first.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head and path.stat().st_size == len(first):
        raise DataError(
            "the file holds blank lines alone.", where=source, fix="Check the file or the export."
        )
    if kind_of(path) == "zip":
        return Peek(path, "zip")
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise DataError("this is an old Excel workbook.", where=source, fix="Save the sheet as CSV (UTF-8).")
    if first.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        raise DataError(
            "this is UTF-32 text.",
            where=source,
            fix=f"Save it as UTF-8: iconv -f UTF-32 -t UTF-8 {shlex.quote(source)} > utf-8.csv",
        )
    if (
        first.startswith((b"\xff\xfe", b"\xfe\xff"))
        and first[:-1].decode("utf-16", "ignore").lstrip()[:1] in "[{"
    ):
        raise DataError(
            "this is JSON in UTF-16, and JSON is UTF-8.",
            where=source,
            fix=f"Write it so: iconv -f UTF-16 -t UTF-8 {shlex.quote(source)} > utf-8{path.suffix or '.json'}",
        )
    if head.startswith(b"PAR1") or head[:1] in (b"{", b"["):
        return _peek_at_records(path, source, is_parquet=head.startswith(b"PAR1"))
    if head[:15].lower().startswith((b"<!doctype html", b"<html")) and b"<table" not in first.lower():
        raise DataError(
            "this is a web page, such as one that asks to sign in, and no data.",
            where=source,
            fix="Download the file again.",
        )
    if head[:15].lower().startswith((b"<!doctype html", b"<html", b"<table", b"<?xml", b"<head", b"<meta")):
        raise DataError(
            "this is a table in HTML or XML, as some tools export for spreadsheets, named .xls or .csv.",
            where=source,
            fix="Open it in a spreadsheet program, and save the sheet as CSV (UTF-8).",
        )
    if (
        not first.startswith((b"\xff\xfe", b"\xfe\xff"))
        and first.count(0) > len(first) / 4
        and first[257:262] != b"ustar"  # an archive, which the search for the dialect names
    ):
        raise DataError(
            "every second byte is empty: UTF-16 text without its mark, or no text at all.",
            where=source,
            fix="Save the file as UTF-8 (iconv -f UTF-16LE -t UTF-8).",
        )
    text = first.decode("utf-8-sig", errors="replace")
    refuse_what_stands_before(text, source)
    if text.startswith("#FORMAT="):
        return Peek(path, "table", text=text)  # a format of lines, with no header to look for
    _, header = next(find_dialect(path, source).rows(path), (1, []))
    return Peek(path, "table", columns=tuple(name.strip() for name in header), text=text)


def _peek_at_records(path: Path, source: str, *, is_parquet: bool) -> Peek:
    try:
        records = read_records(path, source)
        entries = [record for _, record in islice(records.entries, _LOOKED_AT)]
    except DataError:
        if not is_parquet:
            raise
        return Peek(path, "parquet")
    names = tuple(str(name) for name in entries[0]) if entries else ()
    kind = "parquet" if is_parquet else "json"
    return Peek(path, kind, tuple(entries), names, mapping=bool(records.keys))  # type: ignore[arg-type]


_LOOKED_AT = 20


def _table_format(names: list[str], columns: Mapping[str, str]) -> str:
    found = {plain(name) for name in names}
    if {*NAMES.values(), "label"} <= found and "item_id" not in found:
        return "crowd-kit"
    if "annotators" in columns:
        return "wide"
    if "labels" in columns:
        return "long"
    has_label = "label" in columns or not {"label", "preference"}.isdisjoint(found)
    # A single column named like an annotator's is more likely the label column under another name.
    return "wide" if not has_label and annotator_columns(names) else "long"
