"""What the readers of annotation tools share: collecting judgements, and choosing fields and questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from dcpc.data.advice import nearest
from dcpc.data.annotations import ITEM_COLUMNS
from dcpc.data.raw import RawTable, SourceRecord, count
from dcpc.data.readers.chats import chat_text, is_chat
from dcpc.data.validation import listed
from dcpc.errors import DataError


@dataclass
class Rows:
    """Judgements as they are collected from nested records, and what was left out and why.

    Attributes:
        source: the file or data set, as the user named it.
        unit: what a place counts, see `RawTable`.
    """

    source: str
    unit: str
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _places: list[int] = field(default_factory=list)
    _skipped: Counter[str] = field(default_factory=Counter)
    _records: list[SourceRecord] = field(default_factory=list)
    _notes: dict[str, None] = field(default_factory=dict)
    _combined: int = 0

    def record(self, place: int, item: Callable[[], dict[str, Any]], record: Mapping[str, Any]) -> None:
        """One record of the source, whether anybody judged it or not: what is predicted where judgements lack.

        Args:
            place: its number.
            item: makes its columns of the item; called only if they are asked for.
            record: as the tool wrote it.
        """
        self._records.append(SourceRecord(place, item, record))

    def note(self, note: str) -> None:
        """Something that the user should know, said once."""
        self._notes[note] = None

    def add(
        self, place: int, item: Mapping[str, Any], annotator: object, label: object, when: object = None
    ) -> None:
        """One judgement; a label that is a list of several becomes one combined label, `a,b`.

        Args:
            place: the number of its record.
            item: the columns of its item.
            annotator: who judged, None where unknown.
            label: the label, or several.
            when: the time of the judgement as the tool writes it, kept as `time`.
        """
        if isinstance(label, np.ndarray):
            label = label.tolist()
        if isinstance(label, list | tuple):
            if any(isinstance(part, list | dict) for part in label):
                raise self.error(
                    place, "the answer is not a label but spans or a ranking.", "Export a label question."
                )
            self._combined += len(label) > 1
            label = (
                ",".join(sorted(str(part) for part in label)) if len(label) > 1 else next(iter(label), None)
            )
        if label is None or label == "":
            self.skip("judgement without an answer")
            return
        if isinstance(label, dict):
            raise self.error(place, "the answer is not a label but an object.", "Export a label question.")
        if isinstance(annotator, dict | list):
            raise self.error(
                place, "the annotator is not an id but an object or a list.", "Write one id per judgement."
            )
        at = {} if when is None else {"time": when}
        self._rows.append({**item, **at, "annotator_id": annotator, "label": label})
        self._places.append(place)

    def skip(self, reason: str, number: int = 1) -> None:
        """Count something left out; `reason` is a singular noun phrase that says what."""
        self._skipped[reason] += number

    def error(self, place: int, what: str, fix: str) -> DataError:
        """An error at one record."""
        return DataError(what, where=f"{self.source}, {self.unit} {place}", fix=fix)

    def table(self) -> RawTable:
        """The judgements collected; a column `annotator_id` only if any is known."""
        notes = [f"Skipped: {_plural(number, reason)}." for reason, number in self._skipped.items()]
        if self._combined:
            notes.append(f"{count(self._combined, 'judgement')} with several labels got one combined label.")
        notes += self._notes
        frame = pd.DataFrame(self._rows)
        if "annotator_id" in frame and frame["annotator_id"].isna().all():
            frame = frame.drop(columns="annotator_id")
        places = np.array(self._places, dtype=np.int64)
        return RawTable(
            frame,
            self.source,
            places,
            self.unit,
            tuple(notes),
            combined=self._combined,
            records=tuple(self._records),
        )


def _plural(number: int, phrase: str) -> str:
    noun, space, rest = phrase.partition(" ")
    plural = noun[:-1] + "ies" if noun.endswith("y") else None
    return f"{count(number, noun, plural)}{space}{rest}"


def texts_of(
    fields: Mapping[str, Any], columns: Mapping[str, str], rows: Rows, place: int
) -> tuple[dict[str, Any], dict[str, str]]:
    """The columns of an item in a record's fields, chats written out, and which field each of ours is."""
    chosen = choose_text_fields(fields, columns, rows, place)
    return {ours: chat_text(fields[theirs]) for ours, theirs in chosen.items()}, chosen


def choose_text_fields(
    fields: Mapping[str, Any], columns: Mapping[str, str], rows: Rows, place: int
) -> dict[str, str]:
    """Which field of a record is the text, text pair and responses.

    A field of our own name is taken as such; `columns` overrides; else the only field that is a string or a chat is
    the text. Two responses need none.

    Returns:
        our column name → the record's field name.

    Raises:
        DataError: if the text cannot be told from the other fields, or a named field is not there.
    """
    chosen = {name: columns.get(name, name) for name in ITEM_COLUMNS if columns.get(name, name) in fields}
    for name in (name for name in ITEM_COLUMNS if name in columns and name not in chosen):
        close = nearest(columns[name], list(fields))
        raise rows.error(
            place,
            f'there is no field "{columns[name]}"; found: {listed(fields)}.',
            f"Correct --columns {name}={close or 'YOUR_FIELD'}.",
        )
    if "text" in chosen:
        return chosen
    strings = [
        name
        for name, value in fields.items()
        if (isinstance(value, str) or is_chat(value)) and name not in chosen.values()
    ]
    if len(strings) == 1:
        return {"text": strings[0], **chosen}
    if not strings and {"response_a", "response_b"} <= chosen.keys():
        return chosen
    close = nearest("text", strings)
    raise rows.error(
        place,
        f"it is not clear which field is the text; found: {listed(fields) or 'no fields'}.",
        f"Name it with --columns text={close or 'YOUR_FIELD'}.",
    )


def choose_question(questions: Iterable[str], columns: Mapping[str, str], rows: Rows) -> str | None:
    """Which question's answers are the labels: the one named by `columns`, the only one, or `label`.

    Returns:
        The name, or None if nobody answered anything.

    Raises:
        DataError: if there are several questions, or not the one that was named.
    """
    found = list(dict.fromkeys(questions))
    named = columns.get("label")
    if named is not None and named in found:
        return named
    if named is None and len(found) <= 1:
        return next(iter(found), None)
    if named is None and "label" in found:
        return "label"
    close = nearest("label", found)
    raise DataError(
        f"there are several questions: {listed(found)}."
        if named is None
        else f'there is no question "{named}"; found: {listed(found) or "no answers"}.',
        where=rows.source,
        fix=f"Say which one holds the labels with --columns label={close or (found or ['QUESTION'])[0]}.",
    )


def attributes(record: Mapping[str, Any], taken: Sequence[str] = ()) -> dict[str, Any]:
    """The plain values of a record that can go along as attributes of the item; not those already `taken`."""
    ours = {*ITEM_COLUMNS, "item_id", "annotator_id", "label", *taken}
    return {
        name: value
        for name, value in record.items()
        if name not in ours and isinstance(value, str | int | float | bool)
    }
