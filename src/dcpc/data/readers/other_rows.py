"""Rows of a table that are no judgements, as spreadsheets and reports write them: totals, rulers, a second header."""

from __future__ import annotations

import re

import numpy as np

from dcpc.data.equality import NUMBER
from dcpc.data.raw import RawTable
from dcpc.data.scales import LIKELY_ABSTENTIONS

_TOTALS = frozenset(
    {"total", "totals", "grand total", "sum", "average", "averages", "mean", "avg", "subtotal", "count"}
)
_RULER = re.compile(r"\s*:?-{3,}:?\s*")
_FEWEST = 3


def without_other_rows(raw: RawTable) -> RawTable:
    """The table without closing rows of totals and rulers of dashes below the header; each is counted in a note."""
    frame = raw.frame
    if len(frame) < 2:
        return raw
    first = [str(value) for value in frame.iloc[0].dropna()]
    if len(first) > 1 and all(_RULER.fullmatch(value) for value in first):
        kept = np.arange(len(frame)) > 0
        return without_other_rows(raw.only(kept).with_notes("1 row of dashes below the header skipped."))
    last = [str(value).strip().casefold() for value in frame.iloc[-1].dropna()]
    words = (
        frame.iloc[:-1].stack().astype(str).str.strip().str.casefold()
        if last and last[0] in _TOTALS
        else None
    )
    numbers = all(NUMBER.fullmatch(value) for value in last[1:])
    if words is None or not numbers or len(frame) < _FEWEST or bool((words == last[0]).any()):
        return raw
    kept = np.arange(len(frame)) < len(frame) - 1
    return raw.only(kept).with_notes(
        f'1 closing row skipped, which begins with "{last[0]}" and holds no judgement.'
    )


def without_second_header(raw: RawTable) -> RawTable:
    """The rows without a first one that says in words what the column `label` asks, where all others hold numbers."""
    labels = raw.frame["label"]
    if len(labels) < _FEWEST or not isinstance(labels.iloc[0], str):
        return raw
    first = labels.iloc[0].strip()
    if len(first.split()) < 2 or first.casefold() in LIKELY_ABSTENTIONS:
        return raw
    rest = labels.iloc[1:].dropna().astype(str).str.strip()
    if not len(rest) or not rest.str.fullmatch(NUMBER.pattern).all():
        return raw
    kept = np.arange(len(labels)) > 0
    where = f"{raw.unit} {raw.places[0]}"
    return raw.only(kept).with_notes(
        f"{where[0].upper()}{where[1:]} was taken as second header: its label is a text, all others "
        "are numbers."
    )
