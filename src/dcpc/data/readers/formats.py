"""What a format is to the rest of the package: its name, how it is recognised, and what reads it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from dcpc.data.raw import RawTable
from dcpc.data.readers.records import Records, read_records

Columns = Mapping[str, str]
Reader = Callable[[str, Columns], RawTable]
"""From a source and a mapping (our column name → the source's name) to rows under our names."""
RecordReader = Callable[[Records, str, Columns], RawTable]
"""The same from records, with the source's name for messages."""


@dataclass(frozen=True)
class Peek:
    """What can be told of a source at a glance.

    Attributes:
        path: the source.
        kind: `json` (JSON or JSON Lines), `table` (CSV, TSV), `parquet`, `zip` or `folder`.
        records: the first records of JSON or rows of a Parquet file, at most 20; else none.
        columns: the names of a table's columns; else empty.
        text: the first 4,096 bytes of a table, as text; else empty.
        mapping: JSON that is one object of objects, id → record.
    """

    path: Path
    kind: Literal["json", "table", "parquet", "zip", "folder"]
    records: tuple[Mapping[str, Any], ...] = ()
    columns: tuple[str, ...] = ()
    text: str = ""
    mapping: bool = False

    @property
    def record(self) -> Mapping[str, Any]:
        """The first record; empty where there is none."""
        return self.records[0] if self.records else {}

    @cached_property
    def members(self) -> tuple[str, ...]:
        """The files of a zip or folder, relative to it, hidden ones left out; none where the zip is malformed."""
        if self.kind == "zip":
            try:
                with zipfile.ZipFile(self.path) as archive:
                    names = [member.filename for member in archive.infolist() if not member.is_dir()]
            except (zipfile.BadZipFile, OSError, NotImplementedError):
                return ()
            return tuple(name for name in names if not name.startswith("__MACOSX/"))
        if self.kind == "folder":
            files = (path.relative_to(self.path) for path in self.path.rglob("*") if path.is_file())
            return tuple(
                sorted(
                    file.as_posix() for file in files if not any(part.startswith(".") for part in file.parts)
                )
            )
        return ()


@dataclass(frozen=True)
class Format:
    """A format that is read.

    Attributes:
        read: its reader.
        recognises: whether a source is in it, from its content. No two formats may claim one source; what none
            claims is a table.
        of_records: reads records that are in memory already, such as the rows of a Hugging Face data set; None where
            the format is a file's.
    """

    read: Reader
    recognises: Callable[[Peek], bool]
    of_records: RecordReader | None = None


def record_format(of_records: RecordReader, recognises: Callable[[Peek], bool]) -> Format:
    """A format of records, each with its own lists and objects, that may lie in JSON, JSON Lines or Parquet."""

    def read(source: str, columns: Columns) -> RawTable:
        records = read_records(Path(source), source)
        return of_records(records, source, columns).with_notes(*records.notes)

    return Format(read, recognises, of_records)
