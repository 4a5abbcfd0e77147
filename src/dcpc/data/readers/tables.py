"""Long tables, one row per judgement: CSV, TSV, JSON Lines, JSON arrays, Parquet, and folders of them."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dcpc.data.mapped import ROWS, joined
from dcpc.data.raw import RawTable, count, numbered
from dcpc.data.readers.dialect import Dialect, find_dialect
from dcpc.data.readers.fields import (
    check_header,
    closing_blank_lines,
    refuse_long_rows,
    refuse_malformed_quotes,
    short_rows,
)
from dcpc.data.readers.header_rows import without_header_rows
from dcpc.data.readers.other_rows import without_other_rows
from dcpc.data.readers.packed import SUFFIXES, kind_of, read_packed
from dcpc.data.readers.records import Records, no_whole_parquet, read_records
from dcpc.data.readers.text import not_utf8
from dcpc.errors import DataError

_BATCH = 50_000

_MOST_EXACT = 2**53
"""Whole numbers up to this one are floats without being rounded."""


def read_csv(path: Path, source: str, delimiters: str = ",;|") -> RawTable:
    """A CSV file with a header, in the dialect that is told from it (see `dcpc.data.readers.dialect`).

    All values stay strings, as written. Rows are numbered as in a spreadsheet: the header is row 1. Blank lines are
    skipped; in a file of one column only those at its end, since others are empty values.

    Args:
        path: the file.
        source: as the user named it.
        delimiters: those that may stand between values.

    Raises:
        DataError: if the file is empty or not text, has no header, a quote is not closed, or a row has more fields
            than the header.
    """
    try:
        dialect = find_dialect(path, source, delimiters)
        frame = _parse_csv(path, source, dialect)
    except UnicodeDecodeError:
        not_utf8(path, source)
    except ValueError as error:  # of mmap, for a file that was emptied meanwhile
        raise DataError("the file is empty.", where=source, fix="Check the file or the export.") from error
    raw = numbered(frame, source, first=2 + dialect.skipped, notes=dialect.notes(",;\t"))
    blank = raw.frame.isna().all(axis=1).to_numpy(copy=True)
    if blank.any() and raw.frame.shape[1] == 1:
        # A blank line of a single column is an empty value, for the checks to find, except at the end.
        blank[: len(blank) - closing_blank_lines(path, dialect)] = False
    if blank.any():
        raw = raw.only(~blank).with_notes(f"{count(int(blank.sum()), 'blank line')} skipped.")
    raw = _with_short_rows(raw, path, dialect)
    return replace(without_other_rows(without_header_rows(raw)), decimal_comma=dialect.delimiter != ",")


def _parse_csv(path: Path, source: str, dialect: Dialect) -> pd.DataFrame:
    try:
        check_header(path, source, dialect)
        if not dialect.sound:
            refuse_malformed_quotes(path, source, dialect)
            refuse_long_rows(path, source, dialect)
        with dialect.open(path) as file, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", pd.errors.ParserWarning)
            parts = pd.read_csv(
                file, chunksize=ROWS, sep=dialect.delimiter, dtype=str, keep_default_na=False, na_values=[""],
                skip_blank_lines=False, index_col=False, on_bad_lines="error",
                quoting=csv.QUOTE_MINIMAL if dialect.quoting else csv.QUOTE_NONE,
                skipinitialspace=dialect.skip_space,
            )  # fmt: skip
            frame = joined(parts)
        unnamed = _unnamed_at_the_end(frame)
        cut = any(issubclass(warning.category, pd.errors.ParserWarning) for warning in caught)
        if cut or frame[unnamed].notna().any(axis=None):
            # pandas has cut, or named, what stands beyond the header
            refuse_long_rows(path, source, dialect)
        return frame.drop(columns=unnamed)
    except pd.errors.EmptyDataError as error:
        raise DataError("the file is empty.", where=source, fix="Check the file or the export.") from error
    except pd.errors.ParserError as error:
        raise _malformed_table(error, path, source, dialect) from error


def _unnamed_at_the_end(frame: pd.DataFrame) -> list[str]:
    """The columns that a delimiter at the end of the header makes."""
    names = takewhile(lambda name: re.fullmatch(r"Unnamed: \d+", name), reversed(frame.columns))
    return list(names)[: frame.shape[1] - 1]


def _with_short_rows(raw: RawTable, path: Path, dialect: Dialect) -> RawTable:
    """Which rows end before the last column, which pandas fills: spreadsheets write such rows."""
    if raw.frame.empty or not raw.frame.iloc[:, -1].hasnans:
        return raw
    width, short = short_rows(path, dialect)
    if not short:
        return raw
    note = (
        f"{count(len(short), 'row')} with fewer fields than the header (the first is row {min(short)}): "
        "the missing ones were taken as empty."
    )
    return replace(raw, width=width, short=short).with_notes(note)


def read_tsv(path: Path, source: str) -> RawTable:
    """A file of tab-separated values with a header; otherwise like CSV."""
    return read_csv(path, source, "\t")


def _malformed_table(error: Exception, path: Path, source: str, dialect: Dialect) -> DataError:
    refuse_malformed_quotes(path, source, dialect)
    refuse_long_rows(path, source, dialect, empty_too=True)
    return DataError(
        f"malformed table: {str(error).strip().splitlines()[-1]}",
        where=source,
        fix='Put values with a delimiter, quote or line break into "quotes".',
    )


def read_json(path: Path, source: str) -> RawTable:
    """JSON Lines, or a JSON array of flat objects: one object per judgement."""
    records = read_records(path, source)
    return records_to_table(records, source)


def records_to_table(records: Records, source: str) -> RawTable:
    """Flat records as a table; keys become columns, in the order of appearance.

    Raises:
        DataError: if there are none.
    """
    entries = iter(records.entries)
    places: list[np.ndarray] = []

    def frames() -> Iterator[pd.DataFrame]:
        while batch := list(
            islice(entries, _BATCH)
        ):  # batches keep a million dicts from standing in memory at once
            places.append(np.array([place for place, _ in batch], dtype=np.int64))
            yield _with_whole_ids(pd.DataFrame([record for _, record in batch]), batch)

    frame = joined(frames())
    if not places:
        raise DataError("there are no records in it.", where=source, fix="Check the file or the export.")
    if records.keys and not {"id", "item_id"} & set(frame):
        frame["id"] = pd.array(records.keys, dtype="str")  # of a document id → record
    return RawTable(frame, source, np.concatenate(places), records.unit, tuple(records.notes))


def _with_whole_ids(frame: pd.DataFrame, batch: list[tuple[int, Any]]) -> pd.DataFrame:
    """The frame of some records, with whole numbers beyond 2⁵³ kept as they are.

    Beside a missing value they would become floats, which round them: different annotators would have one id.
    """
    numbers = frame.select_dtypes("number").abs().max()
    for name in numbers.index[
        numbers >= _MOST_EXACT
    ]:  # seldom any: only their values are looked at one by one
        values = [record.get(name) for _, record in batch]
        if any(isinstance(value, int) and abs(value) > _MOST_EXACT for value in values):
            frame[name] = pd.Series(values, dtype=object)
    return frame


def read_parquet(path: Path, source: str) -> RawTable:
    """A Parquet file; rows are numbered from 1.

    Raises:
        DataError: if the file is not whole.
    """
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            _check_names(names, source)
            texts = [field.name for field in file.schema_arrow if _is_text(field.type)]
            if file.metadata.num_rows <= ROWS or not texts:
                frame = _to_pandas(file.read())
            else:  # texts are most of it, and pass through memory a part at a time
                parts = file.iter_batches(ROWS, columns=texts)
                frame = joined(_to_pandas(pa.Table.from_batches([part])) for part in parts)
                others = _to_pandas(file.read([name for name in names if name not in texts]))
                frame = pd.concat([frame, others], axis=1)[names]
    except (pa.ArrowException, OSError) as error:
        raise no_whole_parquet(error, source) from error
    return numbered(frame.reset_index(drop=True), source, first=1)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    # Floats would round long ids; what pandas wrote beside the columns is no part of the data.
    return table.replace_schema_metadata().to_pandas(integer_object_nulls=True)


def _check_names(names: list[str], source: str) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(
            f'two columns have the same name, "{twice}".',
            where=source,
            fix="Give every column a name of its own.",
        )


TABLES = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".jsonl": read_json,
    ".json": read_json,
    ".parquet": read_parquet,
}


def read_folder(folder: Path, source: str) -> RawTable:
    """All tables of a folder, which must be of one kind; `split` from the file names where no column says it.

    A file such as `train-00000-of-00002.parquet` names its split.

    Raises:
        DataError: if the folder has no table, or tables of different kinds.
    """
    files = sorted(path for path in folder.rglob("*") if _kind(path) in TABLES and not _hidden(path, folder))
    files = [
        path for path in files if path.name not in ("dataset_info.json", "state.json", "dataset_infos.json")
    ]
    kinds = {_kind(path) for path in files}
    if not files:
        raise DataError(
            "the folder has no Parquet, CSV, TSV or JSON Lines file.",
            where=source,
            fix="Name a file, or check the path.",
        )
    if len(kinds) > 1:
        raise DataError(
            f"the folder has files of different kinds: {', '.join(sorted(kinds))}.",
            where=source,
            fix="Name one file, or keep one kind of file in the folder.",
        )
    tables = [_read_one(path) for path in files]
    if len(tables) == 1:
        return tables[0]
    frames = [_with_split(table.frame, path) for table, path in zip(tables, files, strict=True)]
    notes: tuple[str, ...] = (
        f"Read from {count(len(files), 'file')}: {', '.join(path.name for path in files)}.",
    )
    notes += tuple(
        f"{path.name}: {note}" for table, path in zip(tables, files, strict=True) for note in table.notes
    )
    kinds_differ = {
        name for name in frames[0].columns if len({str(f[name].dtype) for f in frames if name in f}) > 1
    }
    # Joined as they are, truth values would become numbers beside numbers.
    frames = [frame.astype({name: object for name in kinds_differ if name in frame}) for frame in frames]
    return numbered(pd.concat(frames, ignore_index=True), source, 1, "row of all files", notes)


def _kind(path: Path) -> str:
    """The end of a file's name, in small letters; of a packed file, that of what is in it."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in SUFFIXES else suffix


def _read_one(path: Path) -> RawTable:
    read = TABLES[_kind(path)]
    if kind_of(path) is None:
        return read(path, str(path))
    return read_packed(str(path), lambda inner: read(inner, str(inner)))


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)


def _with_split(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    split = re.match(r"(train|validation|valid|dev|test)(?=$|[-_.])", path.stem)
    return frame.assign(split=split[1]) if split and "split" not in frame else frame
