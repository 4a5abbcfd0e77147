"""Long tables, one row per judgement: CSV, TSV, JSON Lines, JSON arrays, Parquet, and folders of them."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dcpc.data.raw import RawTable, count, numbered
from dcpc.data.readers.records import Records, read_records
from dcpc.data.readers.text import not_utf8
from dcpc.errors import DataError

_BATCH = 50_000


def read_csv(path: Path, source: str, delimiter: str | None = None) -> RawTable:
    """A CSV file with a header; comma or semicolon, told from the header, unless `delimiter` is given.

    All values stay strings, as written. Rows are numbered as in a spreadsheet: the header is row 1.

    Raises:
        DataError: if the file is empty, not UTF-8, or a row has more fields than the header.
    """
    if delimiter is None:
        delimiter = header_delimiter(path, source, ",;")
    try:
        frame = pd.read_csv(
            path, sep=delimiter, dtype=str, keep_default_na=False, na_values=[""], encoding="utf-8-sig",
            skip_blank_lines=False, index_col=False, on_bad_lines="error",
        )  # fmt: skip
    except UnicodeDecodeError:
        not_utf8(path, source)
    except pd.errors.EmptyDataError as error:
        raise DataError("the file is empty.", where=source, fix="Check the file or the export.") from error
    except pd.errors.ParserError as error:
        raise _malformed_table(error, source) from error
    raw = numbered(frame, source, first=2)
    blank = frame.isna().all(axis=1).to_numpy()
    if not blank.any() or blank.all():
        return raw
    notes = (f"{count(int(blank.sum()), 'blank line')} skipped.",)
    return RawTable(frame[~blank].reset_index(drop=True), source, raw.places[~blank], notes=notes)


def read_tsv(path: Path, source: str) -> RawTable:
    """A file of tab-separated values with a header; otherwise like CSV."""
    return read_csv(path, source, "\t")


def header_delimiter(path: Path, source: str, candidates: str) -> str:
    """The most frequent of the candidate delimiters in the first line of the file."""
    with path.open(encoding="utf-8-sig") as file:
        try:
            header = file.readline()
        except UnicodeDecodeError:
            not_utf8(path, source)
    return max(candidates, key=header.count)


def _malformed_table(error: Exception, source: str) -> DataError:
    fields = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
    if fields:
        expected, line, found = fields.groups()
        what, where = f"the row has {found} fields, the header {expected}.", f"{source}, row {line}"
    else:
        what, where = f"malformed table: {str(error).strip().splitlines()[-1]}", source
    return DataError(what, where=where, fix='Put values with a delimiter, quote or line break into "quotes".')


def read_json(path: Path, source: str) -> RawTable:
    """JSON Lines, or a JSON array of flat objects: one object per judgement."""
    records = read_records(path, source)
    return records_to_table(records, source)


def records_to_table(records: Records, source: str) -> RawTable:
    """Flat records as a table; keys become columns, in the order of appearance."""
    places: list[int] = []
    frames: list[pd.DataFrame] = []
    entries = iter(records.entries)
    while batch := list(
        islice(entries, _BATCH)
    ):  # batches keep a million dicts from standing in memory at once
        places += [place for place, _ in batch]
        frames.append(pd.DataFrame([record for _, record in batch]))
    frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    return RawTable(frame, source, np.array(places, dtype=np.int64), records.unit)


def read_parquet(path: Path, source: str) -> RawTable:
    """A Parquet file; rows are numbered from 1.

    Raises:
        DataError: if the file is not whole.
    """
    try:
        frame = pq.ParquetFile(path).read().to_pandas()
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"not a whole Parquet file ({str(error).splitlines()[0]}).",
            where=source,
            fix="Export the file again.",
        ) from error
    return numbered(frame.reset_index(drop=True), source, first=1)


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
    files = sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in TABLES and not _hidden(path, folder)
    )
    files = [
        path for path in files if path.name not in ("dataset_info.json", "state.json", "dataset_infos.json")
    ]
    kinds = {path.suffix.lower() for path in files}
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
    tables = [TABLES[path.suffix.lower()](path, str(path)) for path in files]
    if len(tables) == 1:
        return tables[0]
    frames = [_with_split(table.frame, path) for table, path in zip(tables, files, strict=True)]
    notes = (f"Read from {count(len(files), 'file')}: {', '.join(path.name for path in files)}.",)
    return numbered(pd.concat(frames, ignore_index=True), source, 1, "row of all files", notes)


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)


def _with_split(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    split = re.match(r"(train|validation|valid|dev|test)(?=$|[-_.])", path.stem)
    return frame.assign(split=split[1]) if split and "split" not in frame else frame
