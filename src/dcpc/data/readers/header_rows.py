"""Rows of a CSV file that say once more what the columns are: Qualtrics writes three headers, joined files many."""

from __future__ import annotations

import numpy as np

from dcpc.data.raw import RawTable, count

_IMPORT_ID = '{"ImportId"'


def without_header_rows(raw: RawTable) -> RawTable:
    """The table without the rows of Qualtrics' second and third header, and without repetitions of the first.

    Qualtrics writes below the names of the columns the wording of the questions, and then their import ids, which
    tell that the file is from there.
    """
    if raw.frame.empty:
        return raw
    names = np.array([str(name) for name in raw.frame.columns], dtype=object)
    head = raw.frame.head(2).fillna("").astype(str)
    is_import_id = [bool(row.str.startswith(_IMPORT_ID).all()) for _, row in head.iterrows()]
    if any(is_import_id):
        last = is_import_id.index(True)
        keep = np.arange(len(raw.frame)) > last
        raw = raw.only(keep).with_notes(
            f"{count(last + 1, 'row')} below the header skipped: Qualtrics writes the questions and import ids there."
        )
    first = raw.frame.columns[0]
    again = (raw.frame[first] == names[0]).to_numpy(dtype=bool, copy=True)
    again[again] = (raw.frame[again].to_numpy(dtype=object) == names).all(axis=1)
    if again.any():
        raw = raw.only(~again).with_notes(
            f"{count(int(again.sum()), 'row')} skipped that repeats the header."
        )
    return raw
