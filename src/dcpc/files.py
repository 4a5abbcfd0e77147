"""Output that appears whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from dcpc.errors import OutputError, UsageError
from dcpc.leftovers import beside, owner, sweep
from dcpc.names import first_of

Kind = Literal["train", "inspect", "export"]
"""The command whose output a folder holds."""

MANIFEST = ".dcpc-output.json"
"""Says which command's output a folder holds, and which files came with it: `--force` deletes no others."""

LAST = ("adapter_config.json", "config.json", "report.html")
"""Moved into a folder after all other files: without them nothing takes it for finished."""

_FULL = tuple(getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, name))

_TORCH_WROTE = re.compile(
    r"inline_container\.cc.*(unexpected pos|fail\w* writ|write failed)|iostream error", re.DOTALL
)
"""What `torch.save` says where a file takes no more; it names no error of the system."""

UNFINISHED = ".dcpc-unfinished-"
"""Begins the name of a temporary folder within an output folder; a cut-off run may leave one behind."""


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it into place only if the block succeeds.

    Args:
        path: the file to write; its parent folders are made. A link stays, and what it leads to is written.

    Raises:
        UsageError: if it is no file, or the folder cannot be written to.
        OutputError: if the disk is full.
    """
    target = _resolved(path)
    with _refusals(path):
        _check_is_file(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent, beside(target.name))
        prefix = beside(target.name) + owner()
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=target.suffix, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        with _full_disk(path):
            yield temporary
            _allow_as_usual(temporary)
            _write_through(temporary)
            temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path, kind: Kind, *, force: bool = False) -> Iterator[Path]:
    """Yield a temporary folder; its content appears at `path` only if the block succeeds.

    A new folder appears with one renaming. One that is there already (the working directory, the target of a link, a
    mount point) stays the same folder: what it held is set aside, and the new files are moved in, `LAST` last.

    Args:
        path: the folder to make. It must not exist, or be empty, unless `force`.
        kind: the command that makes it.
        force: replace an output of the same command; it stays untouched until the block has succeeded.

    Raises:
        UsageError: if the folder holds something, is a file, or cannot be written to; or if at the end the finished
            output cannot be moved into place, which then says where it lies.
        OutputError: if the disk is full.
    """
    target = _resolved(path)
    check_output_folder(path, kind, force=force)
    fills = target.is_dir()
    with _refusals(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent, beside(target.name), keep=MANIFEST)
        temporary = Path(
            tempfile.mkdtemp(prefix=UNFINISHED + owner(), dir=target)
            if fills
            else tempfile.mkdtemp(prefix=beside(target.name) + owner(), dir=target.parent)
        )
    try:
        with _full_disk(path):
            yield temporary
            _write_manifest(temporary, kind)
            _allow_as_usual(temporary)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    try:
        _put_in_place(temporary, target, fills)
    except KeyboardInterrupt:  # what was there before is back in its place
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    except OSError as error:
        raise UsageError(
            f"the finished output cannot be moved here ({error.strerror}).",
            where=path,
            fix=f"It lies in {temporary}: move it yourself.",
        ) from error


def check_output_folder(path: str | Path, kind: Kind | None = None, *, force: bool = False) -> None:
    """Refuse, before any work is done, an output folder that cannot be written or would overwrite something.

    Raises:
        UsageError: if `path` is a file, cannot be written, or is a folder that is not empty while `force` is false
            or that holds anything but an output of the command `kind`.
    """
    target = _resolved(path)
    with _refusals(path):
        if target.exists() and not target.is_dir():
            raise UsageError("is a file; a folder is needed.", where=path, fix="Name a folder that is new.")
        held = _entries(target) if target.is_dir() else []
        if held and not force:
            raise UsageError(
                "the output folder is not empty.",
                where=path,
                fix="Name a new folder, or add --force to replace an earlier output of this command.",
            )
        if held:
            _check_is_own(target, kind)
        _try_to_write(target)


def _check_is_own(folder: Path, kind: Kind | None) -> None:
    """Raises UsageError where a folder holds anything but an output of this command."""
    try:
        # A run that was killed amid the moves has left them in a folder of its own.
        found = [folder / MANIFEST, *folder.glob(f"{UNFINISHED}*/{MANIFEST}")]
        manifests = [json.loads(path.read_text(encoding="utf-8")) for path in found if path.is_file()]
        there = str(manifests[0]["kind"])
        files = {MANIFEST, *(str(name) for manifest in manifests for name in manifest["files"])}
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        raise UsageError(
            "--force replaces only a folder that dcpc wrote, and this one holds something else.",
            where=folder,
            fix="Name a new folder, or empty this one yourself.",
        ) from None
    if there != kind:
        raise UsageError(
            f"--force replaces only an earlier output of the same command; this folder holds that of `dcpc {there}`.",
            where=folder,
            fix="Name a new folder, or empty this one yourself.",
        )
    foreign = sorted(set(_files(folder)) - files)
    if foreign:
        raise UsageError(
            f"--force would delete what dcpc did not write here: {first_of(foreign, 5)}.",
            where=folder,
            fix="Move it away, or name a new folder.",
        )


def _write_manifest(folder: Path, kind: Kind) -> None:
    text = json.dumps({"kind": kind, "files": _files(folder)}, indent=2, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def check_output_file(path: str | Path, *, force: bool = False) -> None:
    """Refuse, before any work is done, an output file that cannot be written or is there already.

    Raises:
        UsageError: if `path` is no file, cannot be written, or exists while `force` is false.
    """
    target = _resolved(path)
    with _refusals(path):
        _check_is_file(target)
        if target.exists() and not force:
            raise UsageError(
                "the output is there already.", where=path, fix="Name a new file, or add --force."
            )
        _try_to_write(target.parent)


def check_cache_folder(path: str | Path) -> None:
    """Refuse, before any work is done, a folder for a cache that is a file or cannot be written to.

    Raises:
        UsageError: it is one of these.
    """
    target = _resolved(path)
    with _refusals(path):
        if target.exists() and not target.is_dir():
            raise UsageError("is a file; a folder is needed.", where=path, fix="Name another folder.")
        _try_to_write(target)


def check_not_source(output: str | Path, *sources: str | Path) -> None:
    """Refuse an output that would replace what is read, also with `force`.

    Args:
        output: the file to write.
        sources: files, folders or names of data sets that the command reads.

    Raises:
        UsageError: the output is one of them, or lies within a folder that is one of them.
    """
    target = _resolved(output)
    for source in sources:
        read = Path(source)
        if os.path.exists(source) and (target == read.resolve() or read.resolve() in target.parents):
            raise UsageError(
                f"the output would replace what is read from {source}.",
                where=output,
                fix="Name a file elsewhere; --force does not change this.",
            )


def _resolved(path: str | Path) -> Path:
    """The absolute path behind links and dots: `.` has no name, and a link to a folder cannot be replaced by one."""
    with _refusals(path):
        try:
            return Path(path).resolve()
        except RuntimeError as error:  # how Python 3.11 and 3.12 tell links that lead in a circle
            raise UsageError("is a link to itself.", where=path, fix="Name another output.") from error


@contextmanager
def _refusals(path: str | Path) -> Iterator[None]:
    """What the operating system refuses, told as bad usage."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"cannot write here ({error.strerror}).", where=path, fix="Choose an output you may write to."
        ) from error


@contextmanager
def _full_disk(path: str | Path) -> Iterator[None]:
    """A disk that takes no more while the output is written, told in one sentence."""
    try:
        yield
    except Exception as error:
        if not is_full(error):
            raise
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise OutputError(
            f"the output cannot be written ({reason}).",
            where=path,
            fix="Make room, or choose an output elsewhere; nothing was left behind.",
        ) from error


def is_full(error: BaseException) -> bool:
    """Whether an error says that a disk, a quota or a limit on the size of files is reached.

    Libraries that are not written in Python wrap the system's error; its number is then in their message.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _FULL
    if isinstance(error, RuntimeError) and _TORCH_WROTE.search(str(error)):
        return True
    found = re.search(r"(?:os error|errno):? (\d+)", str(error))
    return found is not None and int(found[1]) in _FULL


def _write_through(path: Path) -> None:
    """Wait until a file is on the disk: after a power cut its new name would else hold nothing."""
    if path.is_file():  # the block may have moved it away, which the caller finds out
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _check_is_file(target: Path) -> None:
    if target.is_dir():
        raise UsageError("is a folder; a file is needed.", where=target, fix="Name a file.")
    if target.exists() and not target.is_file():
        raise UsageError("is a device or pipe; a file is needed.", where=target, fix="Name a file.")


def _try_to_write(folder: Path) -> None:
    """Raises OSError where the folder, or else the nearest one above it that exists, takes no file."""
    while not folder.exists():
        folder = folder.parent
    with tempfile.TemporaryFile(dir=folder):
        pass


def _entries(folder: Path) -> list[Path]:
    return [entry for entry in folder.iterdir() if not entry.name.startswith(UNFINISHED)]


def _files(folder: Path) -> list[str]:
    """All files in a folder and below it, relative to it, but for what a cut-off run left behind."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(path.as_posix() for path in files if not path.parts[0].startswith(UNFINISHED))


def _put_in_place(temporary: Path, target: Path, fills: bool) -> None:
    """Move the finished output to its place; where that fails, everything is as it was."""
    if not fills:
        temporary.replace(target)
        return
    old, put = Path(tempfile.mkdtemp(prefix=UNFINISHED + owner(), dir=target)), []
    try:
        # What makes a folder count as finished goes first and comes last.
        for entry in sorted(_entries(target), key=lambda entry: entry.name not in LAST):
            entry.replace(old / entry.name)
        for entry in sorted(temporary.iterdir(), key=lambda entry: entry.name in LAST):
            entry.replace(target / entry.name)
            put.append(entry.name)
    except BaseException:
        for name in put:
            (target / name).replace(temporary / name)
        for entry in old.iterdir():
            entry.replace(target / entry.name)
        old.rmdir()
        raise
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(temporary, ignore_errors=True)
    sweep(target, UNFINISHED)


def _allow_as_usual(path: Path) -> None:
    # Temporary files and folders, and some that libraries write, are private; output gets the usual permissions.
    umask = os.umask(0)
    os.umask(umask)
    for each in (path, *(path.rglob("*") if path.is_dir() else ())):
        with suppress(FileNotFoundError):
            if not each.is_symlink():
                each.chmod((0o777 if each.is_dir() else 0o666) & ~umask)
