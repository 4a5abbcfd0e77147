"""Exports of annotation tools and published sets: one file each, which holds a `FORMAT` and is found by being here.

The format is named as the file, with dashes for underscores. See `dcpc.data.readers.formats.Format`.
"""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path

from dcpc.data.readers.formats import Format


@cache
def tool_formats() -> dict[str, Format]:
    """Name → format, of every file in this folder."""
    modules = sorted(path.stem for path in Path(__path__[0]).glob("*.py") if path.stem != "__init__")
    return {name.replace("_", "-"): importlib.import_module(f"{__name__}.{name}").FORMAT for name in modules}
