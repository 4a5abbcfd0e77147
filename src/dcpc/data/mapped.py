"""Tables larger than memory: their texts lie in temporary files that are mapped, and only what is read is loaded.

Nothing else about a table changes: the columns are pandas' own strings, whose buffers are pages of a file. The files
have no name (they are gone with the process, however it ends) and lie in the folder for temporary files, `TMPDIR`.
Small tables stay in memory.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Callable, Hashable, Iterable
from typing import BinaryIO, cast

import numpy as np
import pandas as pd
import pyarrow as pa

from dcpc.errors import OutputError
from dcpc.files import is_full

LARGE = 2**26
"""Bytes of text from which on a table's texts go into a file."""
ROWS = 100_000
"""Rows that are held at once while they are written."""


def mapped(frame: pd.DataFrame) -> pd.DataFrame:
    """The same table, its texts in a file where they are large.

    Raises:
        OutputError: there is no room for the file.
    """
    if _size(frame) < LARGE:
        return frame
    return _with_texts_in_files(frame)


def joined(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Tables one below the other, as `pd.concat` with a fresh index; each can be let go when the next is asked for.

    Raises:
        OutputError: there is no room for a file.
    """
    held: list[pd.DataFrame] = []
    size = 0
    for frame in frames:
        size += _size(frame)
        if size >= LARGE:
            frame = _with_texts_in_files(frame)
        held.append(frame)
    if not held:
        return pd.DataFrame()
    return mapped(held[0].reset_index(drop=True) if len(held) == 1 else pd.concat(held, ignore_index=True))


def taken(frame: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """The rows at given positions, or those of a boolean mask, with a fresh index; a large table stays in a file.

    Raises:
        OutputError: there is no room for the file.
    """
    rows = np.asarray(rows)
    if rows.dtype == bool:
        if rows.all():
            return frame.reset_index(drop=True)
        rows = np.flatnonzero(rows)
    if _size(frame) / max(1, len(frame)) * len(rows) < LARGE:
        return frame.iloc[rows].reset_index(drop=True)
    step = _rows_at_once(frame)
    return joined(frame.iloc[rows[start : start + step]] for start in range(0, len(rows), step))


def by_parts(values: pd.Series, function: Callable[[pd.Series], np.ndarray]) -> np.ndarray:
    """A function of strings, one number or truth value each, which sees some rows at a time [J]."""
    step = _rows_at_once(values.to_frame())
    parts = range(0, max(1, len(values)), step)
    return np.concatenate([function(values.iloc[start : start + step]) for start in parts])


def fingerprints(frame: pd.DataFrame) -> np.ndarray:
    """A number of 64 bits for what stands in each row, equal where rows are, uint64 [J].

    Of ten million different rows two get the same number with a probability of three in a million.
    """
    if not len(frame):
        return np.empty(0, np.uint64)
    step = _rows_at_once(frame)
    parts = (frame.iloc[start : start + step] for start in range(0, len(frame), step))
    return np.concatenate([pd.util.hash_pandas_object(part, index=False).to_numpy() for part in parts])


def codes_of(values: pd.Series) -> np.ndarray:
    """A number for each value, 0, 1, ... as they first appear, and -1 where one is missing, int [J].

    Of many strings it is their `fingerprints` that are told apart, which takes a fraction of the memory.
    """
    if len(values) <= ROWS or values.hasnans:
        return pd.factorize(values)[0]
    return pd.factorize(fingerprints(values.to_frame()))[0]


def first_rows(codes: np.ndarray) -> np.ndarray:
    """Where each of the I numbers that `codes_of` gave appears first, int [I]."""
    highest = np.maximum.accumulate(codes)
    return np.flatnonzero(np.diff(highest, prepend=-1))


def _rows_at_once(frame: pd.DataFrame) -> int:
    """Rows of a table that may be in memory together: fewer where texts are long."""
    return max(1, min(ROWS, LARGE * max(1, len(frame)) // max(1, _size(frame))))


def _texts(frame: pd.DataFrame) -> list[Hashable]:
    kinds = frame.dtypes.items()
    return [name for name, kind in kinds if isinstance(kind, pd.StringDtype) and kind.storage == "pyarrow"]


def _size(frame: pd.DataFrame) -> int:
    return sum(frame[name].nbytes for name in _texts(frame))


def _with_texts_in_files(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.copy(deep=False)
    for name in _texts(frame):
        frame[name] = _in_file(frame[name])
    return frame


def _in_file(values: pd.Series) -> pd.Series:
    """The strings of a column, one behind the other in a file.

    Arrow's own layout of a single chunk: J + 1 offsets, then the bytes. Of several chunks it would have to join all
    to take a few values.
    """
    chunks = cast(pa.ChunkedArray, values.array.__arrow_array__().cast(pa.large_string())).chunks
    missing = [chunk.is_null().to_numpy(zero_copy_only=False) for chunk in chunks]
    try:
        with tempfile.TemporaryFile(prefix="dcpc-") as file:
            _write(file, chunks)
            file.flush()
            buffer = pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        if not is_full(error):
            raise
        raise OutputError(
            f"the texts do not fit into the folder for temporary files ({error.strerror}).",
            where=tempfile.gettempdir(),
            fix="Make room, or name another folder: TMPDIR=/a/large/disk dcpc ...",
        ) from error
    number, n_missing = len(values), sum(int(each.sum()) for each in missing)
    known = (
        pa.py_buffer(np.packbits(~np.concatenate(missing), bitorder="little").tobytes())
        if n_missing
        else None
    )
    offsets = 8 * (number + 1)
    array = pa.Array.from_buffers(
        pa.large_string(), number, [known, buffer.slice(0, offsets), buffer.slice(offsets)], n_missing
    )
    strings = pa.table({"texts": array}).to_pandas()["texts"].array  # the same bytes, as pandas' strings
    return pd.Series(strings, index=values.index, name=values.name)


def _write(file: BinaryIO, chunks: list[pa.Array]) -> None:
    """Offsets of all strings from the first byte on, then their bytes."""
    end = 0
    file.write(np.zeros(1, np.int64).tobytes())
    for chunk in chunks:
        offsets = _offsets(chunk)
        file.write((offsets[1:] - offsets[0] + end).tobytes())
        end += int(offsets[-1] - offsets[0])
    for chunk in chunks:
        offsets, data = _offsets(chunk), chunk.buffers()[2]
        if data is not None:
            file.write(memoryview(data)[offsets[0] : offsets[-1]])


def _offsets(chunk: pa.Array) -> np.ndarray:
    """Where each string of a chunk begins in its bytes, and where the last ends [n + 1]."""
    if not len(chunk):
        return np.zeros(1, np.int64)
    return np.frombuffer(chunk.buffers()[1], np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
