"""Where the user's cache is."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache(*parts: str) -> Path:
    """A folder in the user's cache, `$XDG_CACHE_HOME/dcpc/...`, by default under `~/.cache`; it is not made here."""
    # The specification of XDG_CACHE_HOME says to ignore a relative path.
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache").joinpath("dcpc", *parts)
