"""The store of a benchmark: one append-only file that several workers share and that survives being killed.

- `plan.json`: what is run on which data, and the version of the store. Written whole or not at all.
- `records.jsonl`: one JSON record a line, appended under an exclusive lock and flushed to the disk. A line that a
  killed writer left unfinished is cut off by the next one.
- `records.jsonl.xz`: the same lines of a store that was packed (`dcpc-bench pack`), a tenth to a fifth as large. They
  come first; what is run later goes on in `records.jsonl`.
- `lock`: the file that is locked, so that `records.jsonl` itself can be replaced.

A record is known by its `kind`, data set, condition, method and seed, and is written once.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import lzma
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from dcpc.errors import TrainingError, UsageError
from dcpc.files import atomic_file

STORE_VERSION = 6
"""Rises when records of an older version cannot be compared with new ones."""

RENAMED = {
    "annotator_error": "judgement_error",
    "consensus_annotator_error": "consensus_judgement_error",
}
"""Metrics of committed stores under the names that they had there."""

_ANEW = "Nothing here was changed; run the benchmark with a new --output."

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk or quota."""

Record = dict[str, Any]
Key = tuple[Any, ...]


def key_of(record: Record) -> Key:
    """What a record is known by: kind, dataset, condition, method or None, seed or None."""
    return tuple(record.get(field) for field in ("kind", "dataset", "condition", "method", "seed"))


class Store:
    """The records of one benchmark.

    Args:
        folder: the store's folder; made where it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path, self._packed_path = folder / "records.jsonl", folder / "records.jsonl.xz"
        self._records: dict[Key, Record] = {}
        self._packed: tuple[tuple[int, ...], dict[Key, Record]] | None = (
            None  # the file's state, and its records
        )
        self._file: BinaryIO | None = (
            None  # held open: its inode is given to no other file while we read on in it
        )
        self._n_read = 0  # bytes

    @property
    def plan(self) -> Record | None:
        """The plan, or None in a new store.

        Raises:
            UsageError: the folder holds a store of another version, or something else.
        """
        path = self.folder / "plan.json"
        if not path.exists():
            if self._path.exists() or self._packed_path.exists() or (self.folder / "cells").is_dir():
                raise UsageError(
                    "the folder holds records without a plan of this version of the benchmark.",
                    where=self.folder,
                    fix=_ANEW,
                )
            return None
        try:
            plan = json.loads(path.read_text(encoding="utf-8"))
            version = plan["store"]
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise UsageError(
                "is no plan of a benchmark.",
                where=path,
                fix=_ANEW,
            ) from error
        if version != STORE_VERSION:
            raise UsageError(
                f"the store has version {version}, and this is version {STORE_VERSION}: "
                "their results cannot be compared.",
                where=self.folder,
                fix=_ANEW,
            )
        return plan

    def write_plan(self, plan: Record) -> None:
        """Write `plan.json`, whole or not at all."""
        with atomic_file(self.folder / "plan.json") as path, writing(self.folder):
            path.write_text(json.dumps(plan, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the store's lock; others wait. The lock goes with the process that holds it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise UsageError(
                f"cannot write here ({error.strerror}).",
                where=self.folder,
                fix="Choose an --output you may write to.",
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def records(self) -> dict[Key, Record]:
        """All records so far, those of other workers included; an unfinished last line is not there yet."""
        packed = self._unpacked()
        try:
            file = self._opened()
        except FileNotFoundError:
            return dict(packed)
        # Neither buffered (a torn line may have been cut off since) nor by the offset, which forked processes share.
        unread = os.fstat(file.fileno()).st_size - self._n_read
        whole, _, _ = os.pread(file.fileno(), unread, self._n_read).rpartition(b"\n")
        if whole:
            for line in whole.split(b"\n"):
                record = self._parse(line)
                self._records[key_of(record)] = record
            self._n_read += len(whole) + 1
        return {**packed, **self._records} if packed else self._records

    def _unpacked(self) -> dict[Key, Record]:
        """The records of the packed file; none without one.

        Raises:
            UsageError: the file is damaged.
        """
        try:
            found = os.stat(self._packed_path)
        except FileNotFoundError:
            return {}
        state = found.st_ino, found.st_size, found.st_mtime_ns  # a new file may get the old one's inode
        if self._packed is None or self._packed[0] != state:
            try:
                content = lzma.decompress(self._packed_path.read_bytes())
            except lzma.LZMAError as error:
                raise UsageError(
                    f"the packed records are damaged ({error}).",
                    where=self._packed_path,
                    fix="Fetch the file anew from where the store came from.",
                ) from error
            records = [self._parse(line) for line in content.splitlines()]
            self._packed = state, {key_of(record): record for record in records}
        return self._packed[1]

    def pack(self) -> None:
        """Keep all records in `records.jsonl.xz`; a store can be read, and gone on with, as before.

        Killed midway it leaves the records in both files, which are the same.

        Raises:
            TrainingError: the disk is full or failed; the store is as it was before.
        """
        with self.locked():
            lines = b"".join(map(_line, self.records().values()))
            with atomic_file(self._packed_path) as path, writing(self.folder):
                path.write_bytes(lzma.compress(lines, preset=9))
            self._path.unlink(missing_ok=True)

    def _opened(self) -> BinaryIO:
        """The file of the records, from its start where another worker has replaced it."""
        state = os.stat(self._path)
        if self._file is not None:
            if os.path.samestat(os.fstat(self._file.fileno()), state) and state.st_size >= self._n_read:
                return self._file
            self._file.close()
        self._file = self._path.open("rb")
        self._records, self._n_read = {}, 0
        return self._file

    def _parse(self, line: bytes) -> Record:
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise UsageError(
                f"a line is no record: {line[:60]!r}",
                where=self._path,
                fix="Remove that line; its cell is run again.",
            )
        if "metrics" in record:
            record["metrics"] = {RENAMED.get(name, name): value for name, value in record["metrics"].items()}
        return record

    def append(self, record: Record) -> bool:
        """Add a record unless one with its key is there; returns whether it was added.

        Raises:
            TrainingError: the disk is full or failed; the store is as it was before.
        """
        with self.locked():
            if key_of(record) in self.records():
                return False
            line = _line(record)
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                end = _end_of_whole_lines(handle)
                os.ftruncate(handle, end)
                with writing(self.folder):
                    try:
                        _write(handle, line, end)
                        os.fsync(handle)
                    except OSError:
                        os.ftruncate(handle, end)
                        raise
            finally:
                os.close(handle)
        return True

    def drop(self, unwanted: Callable[[Record], bool]) -> int:
        """Remove records, by writing the others anew; returns how many were removed."""
        with self.locked():
            kept = [record for record in self.records().values() if not unwanted(record)]
            dropped = len(self.records()) - len(kept)
            if dropped:
                with atomic_file(self._path) as path, writing(self.folder), path.open("wb") as file:
                    file.writelines(map(_line, kept))
                    file.flush()
                    os.fsync(file.fileno())
                self._packed_path.unlink(missing_ok=True)
        return dropped

    def claim(self, key: Key) -> int | None:
        """Claim a piece of work for this process.

        The claim is a lock on a file of its own, so it ends with the process however that ends.

        Returns:
            A file descriptor; closing it ends the claim. None where another worker holds it.
        """
        folder = self.folder / "claims"
        name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[
            :32
        ]  # names of conditions hold any character
        with writing(self.folder):
            folder.mkdir(exist_ok=True)
            handle = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        return handle


def _line(record: Record) -> bytes:
    """A record as it stands in the file, without spaces: most of it is numbers."""
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def _end_of_whole_lines(handle: int) -> int:
    """Position after the last line break: what follows was never finished."""
    size = os.fstat(handle).st_size
    end = size
    while end > 0:
        start = max(0, end - 65_536)
        found = os.pread(handle, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _write(handle: int, line: bytes, position: int) -> None:
    while line:
        written = os.pwrite(handle, line, position)
        line, position = line[written:], position + written


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into an error that says what to do."""
    try:
        yield
    except OSError as error:
        full = error.errno in FULL
        raise TrainingError(
            f"a result could not be written: {'the disk is full' if full else error.strerror}.",
            where=folder,
            fix=("Make room" if full else "Let this folder be written to")
            + " and give the same command again; all earlier results are kept.",
        ) from error
