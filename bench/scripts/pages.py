"""What every script here does that writes a page."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from dcpc.files import atomic_file


def write_page(target: Path, make: Callable[[], str], about: str) -> None:
    """Write a page whole or not at all, and print where; the script takes no argument but `--help`.

    Args:
        target: the file.
        make: gives its text.
        about: the script's docstring, whose first line is its help.
    """
    argparse.ArgumentParser(description=about.splitlines()[0]).parse_args()
    text = make()
    with atomic_file(target) as path:
        path.write_text(text, encoding="utf-8")
    print(target)
