"""Prodigy annotations, JSON Lines as `prodigy db-out` writes them; an item is an `_input_hash`.

Choice tasks: the label is the option in `accept`, by its text where ids are mere numbers. Binary tasks: it is the
answer, `accept` or `reject`. The annotator is `_annotator_id`, else `_session_id`. Ignored tasks and rejected choices
are left out, and counted. A task without an `answer` has not been annotated yet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dcpc.data.raw import RawTable
from dcpc.data.readers.formats import Format, Peek
from dcpc.data.readers.records import read_records
from dcpc.data.readers.rows import Rows, attributes, texts_of
from dcpc.data.scales import are_numbers
from dcpc.data.validation import listed
from dcpc.errors import DataError

_OWN = ("answer", "label", "image")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[_ T]\d\d[-:]\d\d[-:]\d\d")


def read_prodigy(source: str, columns: Mapping[str, str]) -> RawTable:
    """Prodigy tasks with their answers; of binary tasks `columns` may name the label that is asked about."""
    records = read_records(Path(source), source)
    rows = Rows(source, records.unit)
    binary: dict[str, None] = {}
    for place, task in records.entries:
        if "_input_hash" not in task:
            raise rows.error(
                place, "this is not a Prodigy task (no `_input_hash`).", "Keep one format per file."
            )
        _add(rows, place, task, columns, binary)
    if len(binary) > 1:
        raise DataError(
            f"the tasks accept or reject different labels: {listed(binary)}.",
            where=source,
            fix=f"Each is a question of its own: choose one, as with --columns label={next(iter(binary))}.",
        )
    return rows.table()


def _add(
    rows: Rows, place: int, task: Mapping[str, Any], columns: Mapping[str, str], binary: dict[str, None]
) -> None:
    rows.record(place, lambda: _item(task, columns, rows, place), task)
    answer = task.get("answer", "accept" if task.get("accept") else None)
    if answer is None:
        rows.skip("task without an answer")
        return
    if answer == "ignore":
        rows.skip("task (ignored)")
        return
    is_choice = "accept" in task or "options" in task
    if is_choice and answer == "reject":
        rows.skip("choice (rejected)")
        return
    asked = str(task.get("label"))
    if not is_choice and columns.get("label", asked) != asked:
        rows.skip("task about another label")
        return
    if not is_choice:
        binary[asked] = None
    label = _chosen(task, rows, place) if is_choice else answer
    rows.add(place, _item(task, columns, rows, place), _annotator(task, rows), label, task.get("_timestamp"))


def _chosen(task: Mapping[str, Any], rows: Rows, place: int) -> object:
    """The accepted options; numbers that stand for words are replaced by these."""
    accepted, options = task.get("accept"), task.get("options")
    if accepted is not None and not isinstance(accepted, list | str | int | float):
        raise rows.error(place, "`accept` is no list of options.", "Export the data set again.")
    accepted = accepted if isinstance(accepted, list) else [accepted]
    if not isinstance(options, list) or not all(isinstance(option, dict) for option in options):
        return accepted
    words = {option.get("id"): option.get("text") for option in options if not _nested(option.get("id"))}
    texts = [word for word in words.values() if isinstance(word, str) and word.strip()]
    if len(texts) < len(words) or are_numbers(texts) or not all(isinstance(one, int) for one in words):
        return accepted
    rows.note("The labels are the texts of the options, whose ids are numbers.")
    return [words.get(one, one) if not _nested(one) else one for one in accepted]


def _nested(value: object) -> bool:
    return isinstance(value, list | dict)


def _item(task: Mapping[str, Any], columns: Mapping[str, str], rows: Rows, place: int) -> dict[str, Any]:
    fields = {name: value for name, value in task.items() if not name.startswith("_") and name not in _OWN}
    item, _ = texts_of(fields, columns, rows, place)
    meta = task.get("meta")
    return {**item, **attributes(meta if isinstance(meta, dict) else {}), "item_id": task["_input_hash"]}


def _annotator(task: Mapping[str, Any], rows: Rows) -> object:
    annotator = task.get("_annotator_id")
    annotator = task.get("_session_id") if annotator is None else annotator
    if isinstance(annotator, str) and _TIME.search(annotator):
        rows.note(
            "Annotators are named by the time of their session: one person may be several. "
            "Named sessions (?session=anna) tell them apart."
        )
    return annotator


def _recognises(peek: Peek) -> bool:
    return peek.kind == "json" and "_input_hash" in peek.record


FORMAT = Format(read_prodigy, _recognises)
