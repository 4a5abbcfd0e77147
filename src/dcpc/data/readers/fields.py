"""How many fields the rows of a CSV or TSV file have: where a table is ragged, and what its errors say.

pandas reads such files and fills or cuts ragged rows; only where it did, the file is gone through once more, here.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

from dcpc.data.raw import count
from dcpc.data.readers.dialect import Dialect, width_of
from dcpc.errors import DataError

_QUOTE = 'put values with a delimiter, quote or line break into "quotes"'


def check_header(path: Path, source: str, dialect: Dialect) -> None:
    """The first line names the columns, each by another name.

    Raises:
        DataError: if it is blank, where pandas would take all rows for something else; or if two columns have one
            name, where pandas would give the second another.
    """
    _, names = next(dialect.rows(path), (1, [""]))
    if not names:
        raise DataError(
            "the first line is blank; the names of the columns are needed there.",
            where=f"{source}, row 1",
            fix="Remove blank lines above the header.",
        )
    for name, times in Counter(names).items():
        if times > 1 and name.strip():
            numbers = [str(number) for number, other in enumerate(names, start=1) if other == name]
            raise DataError(
                f'the columns {", ".join(numbers[:-1])} and {numbers[-1]} have the same name, "{name}".',
                where=f"{source}, row 1",
                fix="Give every column a name of its own.",
            )


def refuse_long_rows(path: Path, source: str, dialect: Dialect, *, empty_too: bool = False) -> None:
    """No row has more fields than the header; empty ones at its end, of a trailing delimiter, do no harm.

    Args:
        empty_too: refuse those as well.

    Raises:
        DataError: naming the first such row; says so where the header seems to lack a name.
    """
    rows = dialect.rows(path)
    width = width_of(next(rows)[1])
    first, number, every = None, 1, True
    for number, fields in rows:
        beyond = fields[width:]
        if first is None and (any(beyond) or (empty_too and beyond)):
            first = (number, len(fields))
        # A file whose header lacks a name has one field more in all rows.
        every = every and (not fields or (len(beyond) == 1 and any(beyond)))
        if first is not None and not every:
            break
    if first is None:
        return
    row, found = first
    what = f"the row has {count(found, 'field')}, the header {width}"
    if every and number > row:
        raise DataError(
            f"{what}, and every other row has as many: a name is missing in the header.",
            where=f"{source}, row {row}",
            fix=f"Name all {found} columns in the header (R: write.csv(..., row.names = FALSE)), or {_QUOTE}.",
        )
    raise DataError(
        f"{what}.", where=f"{source}, row {row}", fix=f"Where the header names all columns, {_QUOTE}."
    )


def refuse_malformed_quotes(path: Path, source: str, dialect: Dialect) -> None:
    """Every quote that opens a value closes it.

    Raises:
        DataError: naming the first row where one closes in the middle of a value, or never.
    """
    number = dialect.skipped
    try:
        for number, _ in dialect.rows(path, strict=True):  # noqa: B007 (the last one is told)
            pass
    except csv.Error as error:
        never = "unexpected end of data" in str(error)
        raise DataError(
            "a quote is opened and never closed."
            if never
            else "a quote that opens the value closes in the middle of it.",
            where=f"{source}, row {number + 1}",
            fix='Write a quote inside a quoted value twice ("")'
            + (
                "; it may also have been opened in an earlier row."
                if never
                else ", or export the table again."
            ),
        ) from error


def short_rows(path: Path, dialect: Dialect) -> tuple[int, dict[int, int]]:
    """Fields of the header, and row number → fields of the rows that have fewer, blank lines left out."""
    rows = dialect.rows(path)
    width = width_of(next(rows)[1])
    return width, {number: len(fields) for number, fields in rows if 0 < len(fields) < width}


def closing_blank_lines(path: Path, dialect: Dialect) -> int:
    """How many lines at the end of the file are blank; an empty value in quotes is none."""
    blank = 0
    for _, fields in dialect.rows(path):
        blank = 0 if fields else blank + 1
    return blank
