"""Output that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dcpc.errors import UsageError


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it into place only if the block succeeds.

    Args:
        path: the file to write; its parent folders are made.

    Raises:
        UsageError: if the folder cannot be written to.
    """
    target = Path(path)
    if target.is_dir():
        raise UsageError("is a folder; a file is needed.", where=target, fix="Name a file.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=target.suffix, dir=target.parent)
    except OSError as error:
        raise UsageError(
            f"cannot write here ({error.strerror}).", where=target, fix="Choose an output you may write to."
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _allow_as_usual(temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path, *, force: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; move it into place only if the block succeeds.

    Args:
        path: the folder to make. It must not exist, or be empty, unless `force`.
        force: replace a folder that is there already; it stays untouched until the block has succeeded.

    Raises:
        UsageError: if the folder holds something, is a file, or cannot be written to.
    """
    target = Path(path)
    check_output_folder(target, force=force)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise UsageError(
            f"cannot write here ({error.strerror}).", where=target, fix="Choose an output you may write to."
        ) from error
    try:
        yield temporary
        _allow_as_usual(temporary)
        if target.exists():
            retired = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
            target.replace(retired)
            shutil.rmtree(retired)
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_output_folder(path: str | Path, *, force: bool = False) -> None:
    """Refuse an output folder that would overwrite something, before any work is done.

    Raises:
        UsageError: if `path` is a file, or a folder that is not empty while `force` is false.
    """
    target = Path(path)
    if target.is_file():
        raise UsageError("is a file; a folder is needed.", where=target, fix="Name a folder that is new.")
    if target.is_dir() and any(target.iterdir()) and not force:
        raise UsageError(
            "the output folder is not empty.",
            where=target,
            fix="Name a new folder, or add --force to replace it.",
        )


def _allow_as_usual(path: Path) -> None:
    # Temporary files and folders are made private; the finished output gets the user's usual permissions.
    umask = os.umask(0)
    os.umask(umask)
    path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)
