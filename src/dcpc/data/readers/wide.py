"""Wide tables: one row per item, one column per annotator, empty where one did not label the item."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd

from dcpc.data.raw import RawTable, count
from dcpc.data.readers.assemble import OUR_COLUMNS, rename
from dcpc.data.readers.long import read_table
from dcpc.data.validation import listed
from dcpc.errors import DataError

# Not `worker_id`, `annotator_age` and the like: those say something about the annotator of a long table's row.
_ANNOTATOR = re.compile(
    r"(annotator|ann|rater|worker|coder|judge|labell?er|label|user|annotation)"
    r"(?![ _.:-]?(ids?|names?|group|age|gender|count)$)[ _.:-]?\w+",
    re.I,
)


def read_wide(source: str, columns: Mapping[str, str]) -> RawTable:
    """A wide table in any container.

    Args:
        source: the file or folder.
        columns: as for long tables; besides, `annotators` names the annotators' columns, `ann_1|ann_2` or
            with wildcards, `rater_*`. Without it they are those named like `annotator_1` or `rater2`.

    Raises:
        DataError: if no column can be told to be an annotator's.
    """
    pattern = columns.get("annotators")
    raw = rename(
        read_table(source), {ours: theirs for ours, theirs in columns.items() if ours != "annotators"}
    )
    annotators = annotator_columns(list(raw.frame.columns), pattern)
    if not annotators:
        raise DataError(
            f"no column is told to hold one annotator's labels; found: {listed(raw.frame.columns)}.",
            where=source,
            fix="Name them with --columns annotators='NAME_1|NAME_2', or 'rater_*'.",
        )
    return lengthen(raw, annotators)


def annotator_columns(names: Sequence[str], pattern: str | None = None) -> list[str]:
    """The columns that hold one annotator's labels each: those that match `pattern`, or are named like it."""
    free = [str(name) for name in names if name not in OUR_COLUMNS]
    if pattern is None:
        return [name for name in free if _ANNOTATOR.fullmatch(name)]
    return [name for name in free if any(fnmatchcase(name, part.strip()) for part in pattern.split("|"))]


def lengthen(raw: RawTable, annotators: Sequence[str]) -> RawTable:
    """One row per judgement from one row per item: empty cells are left out."""
    frame = raw.frame.drop(columns=[name for name in ("label", "annotator_id") if name in raw.frame])
    labels = frame[list(annotators)]
    given = (
        labels.notna() & (labels.astype("str").apply(lambda column: column.str.strip()) != "")
    ).to_numpy()
    item, annotator = np.nonzero(given)  # [J] each: positions of the judgement's row and column
    long = frame.drop(columns=list(annotators)).iloc[item].reset_index(drop=True)
    long["annotator_id"] = pd.array(np.asarray(annotators, dtype=object)[annotator], dtype="str")
    values = labels.to_numpy(dtype=object)[item, annotator]
    long["label"] = pd.Series(values, dtype=object).infer_objects()
    notes = [f"{count(len(annotators), 'annotator column')}: {listed(annotators)}."]
    empty = int((~given.any(axis=1)).sum())
    if empty:
        notes.append(f"Skipped: {count(empty, 'item')} without annotations.")
    return replace(raw, frame=long, places=raw.places[item]).with_notes(*notes)
