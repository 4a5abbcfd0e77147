"""Wide tables: one row per item, one column per annotator, empty where one did not label the item."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd

from dcpc.data.advice import OTHER_NAMES, annotators_option
from dcpc.data.raw import RawTable, count
from dcpc.data.readers.assemble import OUR_COLUMNS, plain, rename
from dcpc.data.readers.label_columns import share_columns
from dcpc.data.readers.long import read_table
from dcpc.data.scales import ABSENT
from dcpc.data.validation import check_columns, listed
from dcpc.errors import DataError

# `rater_1`, `annotator2`, `label-w7`, `user a`; not `user_country`, `label_rude` and the like, which in a long
# table say something about the annotator or are questions of their own.
_ANNOTATOR = re.compile(
    r"(?P<prefix>annotator|ann|rater|worker|coder|judge|labell?er|label|user|annotation)"
    r"(\d+|[ _.:-]([^\W_]*\d[^\W_]*|[a-z]))",
    re.I,
)
_ENOUGH = 10
"""Labels of a column from which on it must share one with the other annotators' columns."""


def read_wide(source: str, columns: Mapping[str, str]) -> RawTable:
    """A wide table in any container.

    Args:
        source: the file or folder.
        columns: as for long tables; besides, `annotators` names the annotators' columns, `ann_1|ann_2` or
            with wildcards, `rater_*`. Without it they are those named like `annotator_1` or `rater2`.

    Raises:
        DataError: if no column can be told to be an annotator's, or they share no labels.
    """
    pattern = columns.get("annotators")
    raw = rename(
        read_table(source), {ours: theirs for ours, theirs in columns.items() if ours != "annotators"}
    )
    annotators = annotator_columns(list(raw.frame.columns), pattern)
    check_pattern(raw, pattern)
    if not annotators:
        raise DataError(
            f"no column is told to hold one annotator's labels; found: {listed(raw.frame.columns)}.",
            where=source,
            fix=f"Name them with {annotators_option(raw.frame)}, or annotators='rater_*'.",
        )
    if pattern is None:
        if set(share_columns(raw.frame)) == set(annotators):
            return raw  # `label_a`, `label_b` with shares that sum to one
        check_shared_labels(raw, annotators)
    return lengthen(raw, annotators)


def annotator_columns(names: Sequence[str], pattern: str | None = None) -> list[str]:
    """The columns that hold one annotator's labels each: those that match `pattern`, or are named like it.

    Without a pattern they are two or more that share a prefix and end in a number, an id or a letter. There are none
    where another column is named like a label or an annotator id: the table may then be a long one.
    """
    free = [str(name) for name in names if name not in OUR_COLUMNS]
    if pattern is not None:
        parts = [plain(part) for part in pattern.split("|")]
        return [name for name in free if any(fnmatchcase(plain(name), part) for part in parts)]
    if {plain(name) for name in names} & {
        "annotator_id",
        *OTHER_NAMES["label"],
        *OTHER_NAMES["annotator_id"],
    }:
        return []
    groups: dict[str, list[str]] = {}
    for name in free:
        if found := _ANNOTATOR.fullmatch(name.strip()):
            groups.setdefault(plain(found["prefix"]), []).append(name)
    large = [group for group in groups.values() if len(group) > 1]
    return large[0] if len(large) == 1 else []


def check_pattern(raw: RawTable, pattern: str | None) -> None:
    """Every name of `annotators='anna|bert'` is that of a column: a misspelt one would drop an annotator.

    Raises:
        DataError: naming the first that is none.
    """
    names = [str(name) for name in raw.frame.columns if name not in OUR_COLUMNS]
    for part in (pattern or "").split("|"):
        if pattern is not None and not any(fnmatchcase(plain(name), plain(part)) for name in names):
            close = get_close_matches(part, names, n=1)
            raise DataError(
                f'no column is called "{part}"; found: {listed(raw.frame.columns)}.',
                where=raw.source,
                fix=f'Did you mean "{close[0]}"?' if close else "Correct it in annotators=, or leave it out.",
            )


def check_shared_labels(raw: RawTable, annotators: Sequence[str]) -> None:
    """Columns that were told by their names hold labels of one set.

    Raises:
        DataError: naming a column with ten values or more, none of which is in the others.
    """
    values = {name: set(as_given(raw.frame[name]).dropna()) for name in annotators}
    columns_with = Counter(label for labels in values.values() for label in labels)
    for name, own in values.items():
        alone = all(columns_with[label] == 1 for label in own)
        if alone and as_given(raw.frame[name]).count() >= _ENOUGH:
            raise DataError(
                f"{listed(annotators)} are named like the columns of single annotators, but this one has no label "
                "in common with the others.",
                where=raw.where(column=name),
                fix="Name the label column (--columns label=NAME), or the annotators' (annotators='NAME_1|NAME_2').",
            )


def as_given(labels: pd.Series) -> pd.Series:
    """The values of one annotator's column as strings [I], NaN where empty or what pandas and R write for missing."""
    text = pd.Series([str(value).strip() for value in labels], labels.index, dtype="str")
    return text.mask(labels.isna() | text.isin(["", *ABSENT]))


def lengthen(raw: RawTable, annotators: Sequence[str]) -> RawTable:
    """One row per judgement from one row per item: cells that are empty or say `NA` are left out.

    Raises:
        DataError: if there is no column `text`.
    """
    check_columns(raw, ("text",))  # as long as the columns are the file's own, which the error lists
    given = [as_given(raw.frame[name]).notna() for name in annotators]
    raw = raw.with_notes(f"{count(len(annotators), 'annotator column')}: {listed(annotators)}.")
    long = melted(raw, annotators, "annotator_id")
    empty = int((~np.column_stack(given).any(axis=1)).sum())
    return long.with_notes(f"Skipped: {count(empty, 'item')} without annotations.") if empty else long


def melted(raw: RawTable, columns: Sequence[str], into: str) -> RawTable:
    """One row per judgement from cells: the names of some columns become the values of one, `into`.

    Args:
        raw: R rows.
        columns: C columns whose cells are labels; those that are empty or say `NA` are left out.
        into: our column that takes their names.
    """
    frame = raw.frame.drop(columns=[name for name in ("label", into) if name in raw.frame])
    labels = frame[list(columns)]
    given = np.column_stack([as_given(labels[name]).notna() for name in columns])  # [R, C]
    row, column = np.nonzero(given)  # [J] each: positions of the judgement's row and column
    long = frame.drop(columns=list(columns)).iloc[row].reset_index(drop=True)
    long[into] = pd.array(np.asarray(columns, dtype=object)[column], dtype="str")
    values = labels.to_numpy(dtype=object)[row, column]
    long["label"] = pd.Series(values, dtype=object).infer_objects()
    written = labels.map(lambda value: value if isinstance(value, str) else "")  # lists do not compare
    absent = {word: int((written == word).to_numpy().sum()) for word in ABSENT}
    if any(absent.values()):
        words = ", ".join(f'"{word}" ({count(n, "cell")})' for word, n in absent.items() if n)
        raw = raw.with_notes(f"Taken as not labelled: {words}.")
    return replace(raw, frame=long, places=raw.places[row])
