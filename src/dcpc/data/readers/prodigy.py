"""Prodigy annotations, JSON Lines as `prodigy db-out` writes them; an item is an `_input_hash`.

Choice tasks: the label is the option in `accept`. Binary tasks: it is the answer, `accept` or `reject`.
The annotator is `_annotator_id`, else `_session_id`. Ignored tasks and rejected choices are left
out, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dcpc.data.raw import RawTable
from dcpc.data.readers.records import read_records
from dcpc.data.readers.rows import Rows, attributes, choose_text_fields
from dcpc.data.validation import listed
from dcpc.errors import DataError

_OWN = ("answer", "label", "html", "image")


def read_prodigy(source: str, columns: Mapping[str, str]) -> RawTable:
    """Prodigy tasks with their answers."""
    records = read_records(Path(source), source)
    rows = Rows(source, records.unit)
    binary: dict[str, None] = {}
    for place, task in records.entries:
        if "_input_hash" not in task:
            raise rows.error(
                place, "this is not a Prodigy task (no `_input_hash`).", "Keep one format per file."
            )
        answer = task.get("answer", "accept")
        if answer == "ignore":
            rows.skip("task (ignored)")
            continue
        is_choice = "accept" in task or "options" in task
        if is_choice and answer == "reject":
            rows.skip("choice (rejected)")
            continue
        if not is_choice:
            binary[str(task.get("label"))] = None
        rows.add(
            place,
            _item(task, columns, rows, place),
            _annotator(task),
            task.get("accept") if is_choice else answer,
        )
    if len(binary) > 1:
        raise DataError(
            f"the tasks accept or reject different labels: {listed(binary)}.",
            where=source,
            fix="Export one label at a time: each is a question of its own.",
        )
    return rows.table()


def _item(task: Mapping[str, Any], columns: Mapping[str, str], rows: Rows, place: int) -> dict[str, Any]:
    fields = {name: value for name, value in task.items() if not name.startswith("_") and name not in _OWN}
    chosen = choose_text_fields(fields, columns, rows, place)
    item = {ours: task[theirs] for ours, theirs in chosen.items()}
    return {**item, **attributes(task.get("meta") or {}), "item_id": task["_input_hash"]}


def _annotator(task: Mapping[str, Any]) -> object:
    annotator = task.get("_annotator_id")
    return task.get("_session_id") if annotator is None else annotator
