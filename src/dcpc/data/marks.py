"""Rows that a crowd platform has marked: rejected, of test questions, of distrusted workers, below a trust score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dcpc.data.raw import RawTable, count
from dcpc.errors import UsageError
from dcpc.names import first_of

_TRUE = ("true", "1", "yes", "1.0")


def _is(*words: str) -> Callable[[pd.Series], pd.Series]:
    return lambda values: values.isin(words)


def _given(values: pd.Series) -> pd.Series:
    return ~values.isin(("", "false", "0", "nan", "none"))


@dataclass(frozen=True)
class Mark:
    """Columns that tell of a row that it is marked, and how.

    Attributes:
        what: the rows, for a note.
        columns: name of a column, in small letters → which of its values (in small letters) mark a row.
    """

    what: str
    columns: dict[str, Callable[[pd.Series], pd.Series]]


MARKS = {
    "rejected": Mark(
        "rejected or cancelled",
        {
            "assignmentstatus": _is("rejected"),  # Mechanical Turk
            "assignment:status": _is("rejected", "expired", "skipped"),  # Toloka
            "rejected": _is(*_TRUE),
            "_rejected": _is(*_TRUE),
            "was_cancelled": _is(*_TRUE),
            "cancelled": _is(*_TRUE),
        },
    ),
    "golden": Mark(
        "of test questions",
        {
            "_golden": _is(*_TRUE),  # Appen
            "golden": _is(*_TRUE),
            "is_gold": _is(*_TRUE),
        },
    ),
    "tainted": Mark("of workers who were distrusted", {"_tainted": _is(*_TRUE), "tainted": _is(*_TRUE)}),
}
"""What `--leave-out` takes."""

_GOLDEN_PREFIX = "golden:"
"""Toloka's columns with the right answer, given for test questions only."""

_TRUST = ("_trust", "trust", "trust_score", "worker_trust", "skill")


def without_marked(raw: RawTable, leave_out: Sequence[str], min_trust: float | None) -> RawTable:
    """The rows that are not marked so, with notes on how many were left out, and on marked ones that stay.

    Raises:
        UsageError: if no column tells what was asked for.
    """
    keep = np.ones(len(raw.frame), dtype=bool)
    notes = []
    for name, mark in MARKS.items():
        rows, columns = _marked(raw, name)
        if name in leave_out and not columns:
            raise UsageError(
                f"no column tells which rows are {mark.what}.",
                where=raw.source,
                fix="Leave the option out, or say it with --where.",
            )
        number = int(rows.sum())
        if name in leave_out:
            keep &= ~rows
            notes.append(f"Left out: {count(number, 'row')} {mark.what} ({first_of(columns, 3)}).")
        elif number:
            notes.append(
                f"{count(number, 'row')} {'is' if number == 1 else 'are'} {mark.what} ({first_of(columns, 3)}); "
                f"--leave-out {name} leaves {'it' if number == 1 else 'them'} out."
            )
    if min_trust is not None:
        low, column = _distrusted(raw, min_trust)
        keep &= ~low
        notes.append(f"Left out: {count(int(low.sum()), 'row')} below the trust {min_trust:g} ({column}).")
    return (raw if keep.all() else raw.only(keep)).with_notes(*notes)


def _marked(raw: RawTable, name: str) -> tuple[np.ndarray, list[str]]:
    """Which rows are marked, bool [J], and the columns that say so."""
    marked, columns = np.zeros(len(raw.frame), dtype=bool), []
    for column in raw.frame.columns:
        plain = str(raw.renamed.get(column, column)).strip().lower()
        rule = MARKS[name].columns.get(plain)
        if name == "golden" and plain.startswith(_GOLDEN_PREFIX):
            rule = _given
        if rule is None:
            continue
        values = raw.frame[column].fillna("").astype(str).str.strip().str.lower()
        columns.append(str(column))
        marked |= rule(values).to_numpy(dtype=bool)
    return marked, columns


def _distrusted(raw: RawTable, min_trust: float) -> tuple[np.ndarray, str]:
    for column in raw.frame.columns:
        if str(column).strip().lower() in _TRUST:
            trust = pd.to_numeric(raw.frame[column], errors="coerce")
            return (trust < min_trust).to_numpy(dtype=bool), str(column)
    raise UsageError(
        "no column has a trust score.",
        where=raw.source,
        fix="Say it with --where, on the column that has it.",
    )
