"""The long table itself: one row per judgement, under our column names or renamed."""

from __future__ import annotations

from pathlib import Path

from dcpc.data.raw import RawTable
from dcpc.data.readers.assemble import rename
from dcpc.data.readers.dialect import DELIMITERS
from dcpc.data.readers.formats import Columns
from dcpc.data.readers.tables import (
    read_csv,
    read_folder,
    read_json,
    read_parquet,
    read_tsv,
)


def read_table(source: str) -> RawTable:
    """Any table under its own column names; the container is told from the content."""
    path = Path(source)
    if path.is_dir():
        return read_folder(path, source)
    with path.open("rb") as file:
        head = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"PAR1"):
        return read_parquet(path, source)
    if head[:1] in (b"{", b"["):
        return read_json(path, source)
    return read_csv(path, source, DELIMITERS)


def read_long(source: str, columns: Columns) -> RawTable:
    """A long table in any container."""
    return rename(read_table(source), columns)


def long_csv(source: str, columns: Columns) -> RawTable:
    """A long table as CSV with a comma or semicolon."""
    return rename(read_csv(Path(source), source), columns)


def long_tsv(source: str, columns: Columns) -> RawTable:
    """A long table as TSV."""
    return rename(read_tsv(Path(source), source), columns)


def long_jsonl(source: str, columns: Columns) -> RawTable:
    """A long table as JSON Lines, or as a JSON array of objects."""
    return rename(read_json(Path(source), source), columns)


def long_parquet(source: str, columns: Columns) -> RawTable:
    """A long table as a Parquet file, or a folder of them."""
    path = Path(source)
    return rename(read_folder(path, source) if path.is_dir() else read_parquet(path, source), columns)
