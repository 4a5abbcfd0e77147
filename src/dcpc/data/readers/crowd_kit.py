"""Crowd-kit's tables: `task, worker, label`, one row per judgement, with the texts in a further column."""

from __future__ import annotations

from collections.abc import Mapping

from dcpc.data.raw import RawTable
from dcpc.data.readers.assemble import rename
from dcpc.data.readers.long import read_table

NAMES = {"item_id": "task", "annotator_id": "worker"}
"""Our column name → crowd-kit's."""


def read_crowd_kit(source: str, columns: Mapping[str, str]) -> RawTable:
    """A crowd-kit table in any container; `text` is needed beside `task`, `worker`, `label`."""
    return rename(read_table(source), {**NAMES, **columns})
