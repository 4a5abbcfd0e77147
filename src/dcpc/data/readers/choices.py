"""Items with candidates to choose from: columns `choice1`, `choice2`, … or a column `choices` with lists.

Both become one text column `choices`, a JSON list, and labels become `choice1`, `choice2`, …: the place of the
candidate that was chosen. In the file a label may be that, a number, a letter, or the candidate itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from dcpc.data.raw import RawTable, count
from dcpc.errors import DataError, LabelError

COLUMN = "choices"
NUMBERED = re.compile(r"choice[ _]?(\d+)", re.IGNORECASE)
"""A candidate's column, and a label that names one."""


def with_choices(raw: RawTable, labels: Sequence[str] | None = None) -> tuple[RawTable, Sequence[str] | None]:
    """The candidates as one column, and labels as places; a table without candidates stays as it is.

    Args:
        raw: rows under our column names, with or without labels.
        labels: the label set, or None to collect it: then it is as long as the longest list.

    Raises:
        DataError: a row has fewer than two candidates, two that are the same, or a list that is none.
        LabelError: a label is no candidate.
    """
    columns = _numbered_columns(raw.frame)
    if len(columns) >= 2:
        lists = _from_columns(raw, columns)
    elif COLUMN in raw.frame and _holds_lists(raw.frame[COLUMN]):
        lists = _from_lists(raw)
    else:
        return raw, labels
    _check(raw, lists)
    written = [json.dumps(each, ensure_ascii=False) for each in lists]
    frame = raw.frame.drop(columns=columns).assign(**{COLUMN: pd.Series(written, dtype="str")})
    if "label" not in frame:
        return replace(raw, frame=frame), labels
    places, rule = _places(raw, lists)
    frame["label"] = pd.Series([f"choice{place + 1}" for place in places], dtype="str")
    notes = (f"Labels were read as {rule} of the candidate that was chosen.",) if rule else ()
    declared = labels or [f"choice{place + 1}" for place in range(max(map(len, lists)))]
    return replace(raw, frame=frame).with_notes(*notes), declared


def _numbered_columns(frame: pd.DataFrame) -> list[str]:
    found = {int(match[1]): str(name) for name in frame if (match := NUMBERED.fullmatch(str(name).strip()))}
    return [found[number] for number in sorted(found)]


def _from_columns(raw: RawTable, columns: list[str]) -> list[list[str]]:
    """A row has the candidates of its columns up to the last that is filled."""
    cells = raw.frame[columns]
    filled = cells.notna() & (cells.astype("str").apply(lambda column: column.str.strip()) != "")
    rows = zip(cells.itertuples(index=False, name=None), filled.to_numpy(), strict=True)
    return [
        [str(value) for value, is_there in zip(row, there, strict=True) if is_there] for row, there in rows
    ]


def _holds_lists(values: pd.Series) -> bool:
    first = values.dropna()
    return len(first) > 0 and isinstance(_parsed(first.iloc[0]), list)


def _from_lists(raw: RawTable) -> list[list[str]]:
    lists = []
    for row, value in enumerate(raw.frame[COLUMN]):
        found = _parsed(value)
        if not isinstance(found, list):
            raise DataError(
                f"the candidates are no list, but {value!r}.",
                where=raw.where(row, COLUMN),
                fix='Write them as a JSON list, ["first", "second"].',
            )
        lists.append([str(each) for each in found])
    return lists


def _parsed(value: Any) -> Any:
    if isinstance(value, np.ndarray | tuple):
        return list(value)
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _check(raw: RawTable, lists: list[list[str]]) -> None:
    for row, each in enumerate(lists):
        if len(each) < 2 or len(set(each)) < len(each) or not all(text.strip() for text in each):
            wrong = (
                f"there {'is' if len(each) == 1 else 'are'} {count(len(each), 'candidate')}, and two are needed"
                if len(each) < 2
                else "a candidate is empty"
                if not all(text.strip() for text in each)
                else "two candidates are the same"
            )
            raise DataError(
                f"{wrong}.", where=raw.where(row), fix="Correct the candidates, or remove the row."
            )


def _places(raw: RawTable, lists: list[list[str]]) -> tuple[list[int], str]:
    """The place of every row's chosen candidate, and how the labels say it."""
    values = [None if pd.isna(value) else str(value).strip() for value in raw.frame["label"]]
    given = [value for value in values if value is not None]
    numbers = [_number(value) for value in given]
    if given and all(number is not None for number in numbers):
        least = min(number for number in numbers if number is not None)
        start, rule = (0, "the number, from 0,") if least == 0 else (1, "the number, from 1,")
        found = [_number(value or "") for value in values]
        places = [None if number is None else number - start for number in found]
    elif given and all(NUMBERED.fullmatch(value) for value in given):
        rule = ""
        places = [int(m[1]) - 1 if (m := NUMBERED.fullmatch(value or "")) else None for value in values]
    elif (
        given
        and all(len(value) == 1 and value.isalpha() for value in given)
        and not _are_texts(values, lists)
    ):
        rule = "the letter"
        places = [None if value is None else ord(value.upper()) - ord("A") for value in values]
    else:
        rule = "the text"
        places = [
            each.index(value) if value in each else None for value, each in zip(values, lists, strict=True)
        ]
    for row, (place, each) in enumerate(zip(places, lists, strict=True)):
        if place is None or not 0 <= place < len(each):
            what = (
                "is missing"
                if values[row] is None
                else f'"{values[row]}" is none of the {len(each)} candidates'
            )
            raise LabelError(
                f"the label {what}.",
                where=raw.where(row, "label"),
                fix="Labels are choice1, choice2, …, numbers from 0 or from 1, letters, or the candidate's own text.",
            )
    return [place for place in places if place is not None], rule


def _number(text: str) -> int | None:
    """A whole number, also as a column with gaps is read (1.0)."""
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None


def _are_texts(values: Sequence[str | None], lists: list[list[str]]) -> bool:
    return all(value is None or value in each for value, each in zip(values, lists, strict=True))
