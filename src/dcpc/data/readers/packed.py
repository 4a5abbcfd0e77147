"""Compressed files: gzip, bzip2, xz, Zstandard, and a zip that holds one table. They are told from their first bytes.

Readers look at a file several times, so it is unpacked once, a piece at a time, into a folder for temporary files
(`TMPDIR`) that is gone when it has been read. Memory stays flat, and a bomb is stopped while it unpacks: by how
many times its own size it has become, not by what it says of itself.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import shlex
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import IO, Any

import pyarrow as pa

from dcpc.data.raw import RawTable
from dcpc.errors import DataError, DCPCError, OutputError
from dcpc.files import is_full
from dcpc.leftovers import owner, sweep
from dcpc.names import first_of

MOST_TIMES = 200
"""Times its own size that a large file may unpack to; texts compress to a third or a tenth."""
LARGE = 256 << 20
"""Bytes up to which nothing is a bomb."""
_PIECE = 1 << 20
_SHOWN = 5

SUFFIXES = (".gz", ".bz2", ".xz", ".zst", ".zip")
"""Ends of names of files that are packed; whether they are is told from their content."""
TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".json", ".jsonl", ".ndjson", ".parquet")
"""Ends of names that tables in a zip have."""

_PREFIX = "dcpc-unpacked-"


def _zstd(path: Path) -> IO[bytes]:
    return pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")


_KINDS: dict[str, tuple[re.Pattern[bytes], Callable[[Path], Any]]] = {
    "gzip": (re.compile(rb"\x1f\x8b\x08"), gzip.GzipFile),
    "bzip2": (re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"), bz2.BZ2File),
    "xz": (re.compile(rb"\xfd7zXZ\0"), lzma.LZMAFile),
    "Zstandard": (re.compile(rb"\x28\xb5\x2f\xfd"), _zstd),
}
"""Kind → how its files begin, and what opens them to be read as bytes."""

_BROKEN = (
    OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, pa.ArrowException,
)  # fmt: skip


def kind_of(path: Path) -> str | None:
    """How a file is compressed, by its first bytes: a name in `_KINDS`, `zip`, or None."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    return next((kind for kind, (begins, _) in _KINDS.items() if begins.match(head)), None)


def read_packed(source: str, read: Callable[[Path], RawTable]) -> RawTable:
    """What a reader makes of the one file in a packed one, under the name that the user gave.

    Args:
        source: the packed file.
        read: reads the unpacked file.

    Raises:
        DataError: it is damaged, holds no table or several, unpacks to too much, or the reader refuses what is in it.
        OutputError: there is no room to unpack it.
    """
    with _unpacked(source) as (path, name, said):
        try:
            raw = read(path)
        except DCPCError as error:
            told = (error.what, error.where, error.fix)
            what, where, fix = (None if each is None else each.replace(str(path), name) for each in told)
            raise type(error)(str(what), where=where, fix=fix) from error
        notes = tuple(note.replace(str(path), name) for note in raw.notes)
        return replace(raw, source=name, notes=(*said, *notes))


@contextmanager
def _unpacked(source: str) -> Iterator[tuple[Path, str, tuple[str, ...]]]:
    """The unpacked file, how to name it to the user, and what to say of it."""
    temporary = Path(tempfile.gettempdir())
    sweep(temporary, _PREFIX)  # of runs that were killed
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX + owner(), dir=temporary))
    try:
        yield _unpack(source, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unpack(source: str, folder: Path) -> tuple[Path, str, tuple[str, ...]]:
    path = Path(source)
    kind = kind_of(path)
    try:
        if kind == "zip":
            with zipfile.ZipFile(path) as archive:
                member, others = _only_table(archive, source)
                target = folder / PurePosixPath(member.filename).name
                with archive.open(member) as file:
                    _copy(file, target, member.compress_size, source)
            left = first_of([f'"{name}"' for name in others], _SHOWN)
            said = (f"Of the zip {member.filename} was read; left out: {left}.",) if others else ()
            return target, f"{source}, {member.filename}", said
        assert kind is not None
        target = folder / (path.stem if path.suffix.lower() in SUFFIXES else path.name)
        with _KINDS[kind][1](path) as file:
            _copy(file, target, path.stat().st_size, source)
    except _BROKEN as error:
        if is_full(error):
            raise OutputError(
                "there is no room to unpack the file.",
                where=tempfile.gettempdir(),
                fix="Make room, or name another folder: TMPDIR=/a/large/disk dcpc ...",
            ) from error
        raise DataError(
            f"the {kind} file is damaged or not whole ({str(error) or type(error).__name__}).",
            where=source,
            fix="Export or download it again.",
        ) from error
    return target, source, ()


def _copy(packed: IO[bytes], target: Path, size: int, source: str) -> None:
    """Unpack piece by piece.

    Raises:
        DataError: it becomes more than `MOST_TIMES` its own size, which texts never do.
    """
    most = max(LARGE, MOST_TIMES * size)
    written = 0
    with target.open("wb") as file:
        while piece := packed.read(_PIECE):
            written += len(piece)
            if written > most:
                raise DataError(
                    f"unpacks to more than {MOST_TIMES} times its size.",
                    where=source,
                    fix="This looks like a decompression bomb: unpack it yourself if you trust it.",
                )
            file.write(piece)


def _only_table(archive: zipfile.ZipFile, source: str) -> tuple[zipfile.ZipInfo, list[str]]:
    """The one table in a zip, and the names of what else is in it.

    Raises:
        DataError: there is none, or several, or it is encrypted.
    """
    files = [member for member in archive.infolist() if not member.is_dir() and not _hidden(member)]
    tables = [member for member in files if _is_table(member.filename)]
    if not tables and len(files) == 1:
        tables = files  # what it is its content tells
    if len(tables) > 1:  # a list of columns, say, beside the data
        tables = [member for member in tables if not _ABOUT.match(_name(member).lower())] or tables
    unpack = f"unzip {shlex.quote(source)} -d unpacked"
    if not files:
        raise DataError("the zip is empty.", where=source, fix="Export it again.")
    if len(tables) != 1:
        names = first_of([f'"{member.filename}"' for member in tables or files], _SHOWN)
        held = f"several tables: {names}" if tables else f"no table, but {names}"
        raise DataError(
            f"the zip holds {held}.",
            where=source,
            fix=f"Unpack it, {unpack}, and name the file in it, or the folder.",
        )
    if tables[0].flag_bits & 1:
        raise DataError(
            f'"{tables[0].filename}" is encrypted.',
            where=source,
            fix=f"Unpack it with its password: {unpack}",
        )
    return tables[0], [member.filename for member in files if member is not tables[0]]


_ABOUT = re.compile(r"(read.?me|licen[cs]e|citation|notice|changelog)\b")


def _name(member: zipfile.ZipInfo) -> str:
    return PurePosixPath(member.filename).name


def _hidden(member: zipfile.ZipInfo) -> bool:
    return member.filename.startswith("__MACOSX/") or _name(member).startswith(".")


def _is_table(name: str) -> bool:
    path = PurePosixPath(name.lower())
    inner = path.stem if path.suffix in SUFFIXES else path.name
    return PurePosixPath(inner).suffix in TABLE_SUFFIXES
