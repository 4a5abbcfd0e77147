"""What a reader hands on: rows in the long form, and where each of them stands in the user's file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from dcpc.data.mapped import taken


@dataclass(frozen=True)
class SourceRecord:
    """A record of an annotation tool's export, judged or not.

    Attributes:
        place: its number, as the user counts it.
        item: makes its columns of the item (`text`, ...); raises DataError where they cannot be told.
        record: as the tool wrote it, to give predictions back in the tool's own form.
    """

    place: int
    item: Callable[[], dict[str, Any]]
    record: Mapping[str, Any]


@dataclass(frozen=True)
class RawTable:
    """Judgements as read, one row each, before anything about them has been checked.

    Attributes:
        frame: J rows with a fresh RangeIndex; columns under our names (`text`, `label`, ...) where known,
            else under the file's own.
        source: the file or data set, as the user named it.
        places: for each judgement the number of the row, line or record it came from, as the user counts them
            (a CSV's header is row 1), int [J].
        unit: what `places` counts: `row`, `line`, `record`, `task`.
        notes: what was skipped or changed on the way, one sentence each.
        renamed: our column name → the file's own name, where they differ.
        width: fields of the header of a CSV or TSV file, where some row has fewer.
        short: place → fields of the rows that have fewer; what they lack was read as empty.
        decimal_comma: whether `1,5` may be a number: the values stand in a table that commas do not divide.
        combined: how many labels are several in one, `a,b`: of these there may be very many.
        label_columns: the columns that hold one label each, as the user named them; else empty.
        records: all records of an annotation tool's export, also those that nobody judged; empty for tables.
    """

    frame: pd.DataFrame
    source: str
    places: np.ndarray
    unit: str = "row"
    notes: tuple[str, ...] = ()
    renamed: dict[str, str] = field(default_factory=dict)
    width: int = 0
    short: dict[int, int] = field(default_factory=dict)
    decimal_comma: bool = False
    combined: int = 0
    label_columns: tuple[str, ...] = ()
    records: tuple[SourceRecord, ...] = ()

    def where(self, row: int | None = None, column: str | None = None) -> str:
        """Name a place in the user's file, as in `reviews.csv, row 17, column "rating"`.

        Args:
            row: a position in `frame`; shown as the user counts it.
            column: our name of a column; shown under the file's own.
        """
        parts = [self.source]
        if row is not None:
            parts.append(f"{self.unit} {self.places[row]}")
        if column is not None:
            parts.append(f'column "{self.renamed.get(column, column)}"')
        return ", ".join(parts)

    def missing(self, row: int, otherwise: str) -> str:
        """Why a value of the row at this position is missing: it has too few fields, or else `otherwise`."""
        found = self.short.get(int(self.places[row]))
        return otherwise if found is None else f"the row has {count(found, 'field')}, the header {self.width}"

    def only(self, rows: np.ndarray) -> RawTable:
        """The rows selected by a boolean mask [J] or by their positions."""
        return replace(self, frame=taken(self.frame, rows), places=self.places[rows])

    def with_notes(self, *notes: str) -> RawTable:
        """The same table with more notes."""
        return replace(self, notes=(*self.notes, *notes))

    def of_all_records(self) -> RawTable:
        """The items of all records, one row each, for prediction; a table stays as it is.

        Raises:
            DataError: if a record's text cannot be told.
        """
        if not self.records:
            return self
        frame = pd.DataFrame([record.item() for record in self.records])
        places = np.array([record.place for record in self.records], dtype=np.int64)
        if len(np.unique(places)) < len(places):  # lines of several files
            places = np.arange(1, len(places) + 1)
        records = tuple(
            replace(one, place=place) for one, place in zip(self.records, places.tolist(), strict=True)
        )
        return replace(self, frame=frame, places=places, notes=(), records=records)


def numbered(
    frame: pd.DataFrame, source: str, first: int, unit: str = "row", notes: tuple[str, ...] = ()
) -> RawTable:
    """A raw table whose rows are numbered from `first` on."""
    frame = frame.reset_index(drop=True)
    return RawTable(frame, source, np.arange(first, first + len(frame)), unit, notes)


def count(number: int, singular: str, plural: str | None = None) -> str:
    """`1 row`, `2,000 rows`: a number with its noun."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
