"""Sliders: a declared range whose steps are all labels, whether anybody chose them or not.

The steps are whole numbers where all values are and there are at most 101 of them; else the range has 100 equal
steps, to which the values are rounded. A value that training never saw is then a label like any other.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from dcpc.data.equality import NUMBER, plain_number
from dcpc.data.raw import RawTable, count
from dcpc.data.reading import Reading
from dcpc.data.scales import as_text
from dcpc.errors import DataError, UsageError

STEPS = 100


def on_range(raw: RawTable, reading: Reading) -> tuple[RawTable, Reading]:
    """Values on the steps of the declared range, and the reading with these steps as its labels.

    Raises:
        DataError: if a label is no number, or outside the range; names the row.
        UsageError: if steps that are declared besides are no numbers.
    """
    assert reading.range is not None
    values = _numbers(raw, reading.range)
    steps = _steps(values, reading)
    nearest = _nearest(values, steps)
    rounded = int((~np.isclose(values, steps[nearest], rtol=0, atol=1e-9)).sum())
    names = [plain_number(f"{step:.10g}") for step in steps]
    frame = raw.frame.assign(label=pd.Series(np.array(names, dtype=object)[nearest], dtype="str"))
    raw = replace(raw, frame=frame)
    if rounded:
        raw = raw.with_notes(f"{count(rounded, 'value')} rounded to the {len(steps):,} steps of the range.")
    return raw, replace(reading, labels=names, scale="ordinal")


def _numbers(raw: RawTable, limits: tuple[float, float]) -> np.ndarray:
    """The labels as numbers within the range, float [J]."""
    text = as_text(raw.frame["label"])
    if raw.decimal_comma:
        text = text.str.replace(",", ".", regex=False)
    number = text.str.fullmatch(NUMBER.pattern).fillna(False).to_numpy(dtype=bool)
    if not number.all():
        row = int((~number).argmax())
        found = text.iloc[row]
        raise DataError(
            f"a number is needed, found {'nothing' if pd.isna(found) else repr(str(found))} "
            f"({count(int((~number).sum()), 'such row')}).",
            where=raw.where(row, "label"),
            fix="Correct it, remove the rows, or leave the label out with --ignore-labels.",
        )
    values = text.astype(float).to_numpy()
    outside = (values < limits[0]) | (values > limits[1])
    if outside.any():
        row = int(outside.argmax())
        raise DataError(
            f"{values[row]:g} is outside the range from {limits[0]:g} to {limits[1]:g} "
            f"({count(int(outside.sum()), 'such row')}).",
            where=raw.where(row, "label"),
            fix="Declare the whole range with --range, or correct the rows.",
        )
    return values


def _steps(values: np.ndarray, reading: Reading) -> np.ndarray:
    assert reading.range is not None
    if reading.labels is not None:
        try:
            return np.sort([float(label) for label in reading.labels])
        except ValueError as error:
            raise UsageError(
                "the labels of a range are numbers.", fix="Leave --labels out where --range is given."
            ) from error
    low, high = reading.range
    whole = float(low).is_integer() and float(high).is_integer() and high - low <= STEPS
    if whole and bool((values == np.round(values)).all()):
        return np.arange(low, high + 1)
    return np.linspace(low, high, STEPS + 1)


def _nearest(values: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Position of the step next to each value, for steps in ascending order."""
    right = np.searchsorted(steps, values).clip(1, len(steps) - 1)
    return right - (values - steps[right - 1] <= steps[right] - values)
