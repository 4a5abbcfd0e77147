"""Measured rows in a JSONL file, appended as they come; a later run goes on where an earlier one stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd


class Rows:
    """The rows of a benchmark.

    Args:
        path: of the file; it need not exist.
        *key: fields that say what was measured; rows that share them are added together.
    """

    def __init__(self, path: Path, *key: str) -> None:
        self.path, self.key = path, key
        self.rows = [json.loads(line) for line in path.open()] if path.exists() else []
        self.measured = {tuple(row[name] for name in key) for row in self.rows}

    def __contains__(self, key: tuple[Any, ...]) -> bool:
        return key in self.measured

    def add(self, *rows: dict[str, Any]) -> None:
        """Append rows in one write, so that a killed run leaves no half of them."""
        with self.path.open("a") as file:
            file.write("".join(json.dumps(row) + "\n" for row in rows))
        self.rows += rows

    def table(self) -> pd.DataFrame:
        """All rows, those of earlier runs first."""
        return pd.DataFrame(self.rows)
