"""Tables of a survey: one row per person, one column per item, whose text is the column's name."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from dcpc.data.advice import columns_of_items
from dcpc.data.raw import RawTable, count
from dcpc.data.readers.assemble import OUR_COLUMNS, rename
from dcpc.data.readers.formats import Columns
from dcpc.data.readers.long import read_table
from dcpc.data.readers.wide import as_given, melted
from dcpc.data.validation import listed
from dcpc.errors import DataError


def read_people(source: str, columns: Columns) -> RawTable:
    """A table of persons in any container, as forms export it.

    Items are the columns whose values are labels that several columns share; all others say something of the person.

    Args:
        source: the file or folder.
        columns: as for long tables; without `annotator_id` the persons are numbered as their rows.

    Raises:
        DataError: if no columns share labels.
    """
    raw = rename(read_table(source), columns)
    items = columns_of_items(raw.frame)
    if not items:
        raise DataError(
            f"no columns are told to hold the labels of one item each; found: {listed(raw.frame.columns)}.",
            where=source,
            fix="Items share labels. Else write one row per judgement: text, annotator_id, label.",
        )
    notes = [f"Each row is a person, each of {count(len(items), 'column')} an item: {listed(items)}."]
    others = [name for name in raw.frame.columns if name not in items and name not in OUR_COLUMNS]
    if others:
        notes.append(f"Taken as being about the person: {listed(others)}.")
    if "annotator_id" not in raw.frame:
        numbers = pd.array([f"{raw.unit} {place}" for place in raw.places], dtype="str")
        raw = replace(raw, frame=raw.frame.assign(annotator_id=numbers))
        notes.append(
            "Persons are named by their rows; a column with their ids is --columns annotator_id=NAME."
        )
    answered = pd.concat([as_given(raw.frame[name]).notna() for name in items], axis=1)  # [R, C]
    silent = int((~answered.any(axis=1)).sum())
    if silent:
        notes.append(f"Skipped: {count(silent, 'person', 'persons')} without answers.")
    # What is called `text` or `item_id` in a row of a person is not the item's.
    raw = replace(raw, frame=raw.frame.drop(columns=["text", "item_id"], errors="ignore"))
    return melted(raw, items, "text").with_notes(*notes)
