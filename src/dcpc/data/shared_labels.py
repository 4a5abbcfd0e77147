"""Columns that look like those of several annotators, by what stands in them: for hints, not for reading."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dcpc.data.scales import ABSENT

_MOST_LABELS = 20
_LEAST_OVERLAP = 0.5


def columns_with_shared_labels(frame: pd.DataFrame, leave_out: Sequence[str] = ()) -> list[str]:
    """The largest group of columns whose few distinct values are mostly the same, as annotators' labels are.

    Args:
        frame: any table.
        leave_out: columns that mean something else.

    Returns:
        Names of two columns or more, or none.
    """
    values = {str(name): _values(frame[name]) for name in frame.columns if name not in leave_out}
    small = {name: found for name, found in values.items() if 1 <= len(found) <= _MOST_LABELS}
    groups = [
        [other for other, theirs in small.items() if len(own & theirs) >= _LEAST_OVERLAP * len(own | theirs)]
        for own in small.values()
    ]
    largest = max(groups, key=len, default=[])
    return largest if len(largest) > 1 else []


def _values(column: pd.Series) -> set[str]:
    return {text for text in column.dropna().astype("str").unique() if text.strip() not in ("", *ABSENT)}
