"""What a run that was killed leaves behind, told by its name: whose it is, and whether that process still runs.

A temporary file or folder is called `.OUTPUT.HOST-PROCESS-…`. The next run that writes the same output removes those
of processes of this machine that are gone. A folder that was finished and could not be moved into its place stays.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from pathlib import Path

_LONGEST = 80
"""Characters of an output's name that its temporary file repeats: names have at most 255."""


def beside(name: str) -> str:
    """How the names of temporary files and folders of an output begin, but for whose they are."""
    return f".{name[:_LONGEST]}."


def owner() -> str:
    """Of this process, within a name."""
    return f"{_host()}-{os.getpid()}-"


def sweep(folder: Path, begins: str, *, keep: str | None = None) -> None:
    """Remove what processes of this machine that are gone have left in a folder.

    Args:
        folder: where to look; nothing below it.
        begins: how the names begin, before whose they are.
        keep: a folder that holds a file of this name stays.
    """
    if not folder.is_dir():
        return
    pattern = re.compile(re.escape(begins + _host()) + r"-(\d+)-[^/]*")
    for entry in list(folder.iterdir()):
        found = pattern.fullmatch(entry.name)
        if found is None or _runs(int(found[1])) or (keep is not None and (entry / keep).exists()):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def _host() -> str:
    return re.sub(r"\W", "_", platform.node())[:20]


def _runs(process: int) -> bool:
    if os.name != "posix":  # there signal 0 is no question
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # not ours to ask
        return True
    return True
