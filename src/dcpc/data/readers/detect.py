"""Which format a source is in, told from its content, not from its name."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dcpc.data.readers.assemble import plain
from dcpc.data.readers.crowd_kit import NAMES
from dcpc.data.readers.dialect import find_dialect
from dcpc.data.readers.ground_truth import worker_annotations
from dcpc.data.readers.huggingface import is_saved_dataset
from dcpc.data.readers.records import read_records
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


_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".zip", ".txt", ".xlsx", ".manifest")


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
    if path.is_dir():
        return "long"
    with path.open("rb") as file:
        head = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"PK"):
        return _zip_format(path, source)
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")):
        raise DataError("the file is compressed.", where=source, fix="Unpack it first.")
    if head.startswith(b"PAR1"):
        return _parquet_format(path, source, columns)
    if head[:1] in (b"{", b"["):
        return _json_format(path, source, columns)
    _, header = next(find_dialect(path, source).rows(path), (1, []))
    return _table_format([name.strip() for name in header], columns)


def _table_format(names: list[str], columns: Mapping[str, str]) -> str:
    found = {plain(name) for name in names}
    if {*NAMES.values(), "label"} <= found and "item_id" not in found:
        return "crowd-kit"
    if "annotators" in columns:
        return "wide"
    has_label = "label" in columns or not {"label", "preference"}.isdisjoint(found)
    # A single column named like an annotator's is more likely the label column under another name.
    return "wide" if not has_label and annotator_columns(names) else "long"


def _parquet_format(path: Path, source: str, columns: Mapping[str, str]) -> str:
    try:
        names = pq.read_schema(path).names
    except (pa.ArrowInvalid, OSError):
        return "parquet"  # whose reader says what is wrong
    return (
        "argilla-table"
        if any(name.endswith(".responses") for name in names)
        else _table_format(names, columns)
    )


def _json_format(path: Path, source: str, columns: Mapping[str, str]) -> str:
    first = next(islice(read_records(path, source).entries, 1), None)
    if first is None:
        return "jsonl"
    record: Mapping[str, Any] = first[1]
    keys = set(record)
    if "_input_hash" in keys:
        return "prodigy"
    if isinstance(record.get("data"), dict) and keys & {"annotations", "completions"}:
        return "label-studio"
    if worker_annotations(record) is not None:
        return "ground-truth"
    if isinstance(record.get("fields"), dict) and "responses" in keys:
        return "argilla" if isinstance(record["responses"], dict) else "argilla-1"
    if {"annotation", "annotation_agent"} <= keys:
        return "argilla-1"
    if {"annotations", "annotators"} <= keys or {"annotations", "soft_label"} <= keys:
        return "lewidi"
    return _table_format([str(key) for key in record], columns)


def _zip_format(path: Path, source: str) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return "doccano"  # whose reader says what is wrong
    if "[Content_Types].xml" in names:
        raise DataError("this is an Excel workbook.", where=source, fix="Save the sheet as CSV (UTF-8).")
    return "doccano"
