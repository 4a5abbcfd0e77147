"""How many fields the rows of a CSV or TSV file have: where a table is ragged, and what its errors say.

pandas reads such files and fills or cuts ragged rows; only where it did, the file is gone through once more, here.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dcpc.data.raw import count
from dcpc.errors import DataError

_QUOTE = 'put values with a delimiter, quote or line break into "quotes"'


def rows_of(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of each row as a spreadsheet counts them: the header is row 1, a blank line has no field."""
    limit = csv.field_size_limit(sys.maxsize)  # a text may be longer than the module's usual limit
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from enumerate(csv.reader(file, delimiter=delimiter), start=1)
    finally:
        csv.field_size_limit(limit)


def check_header(path: Path, source: str, delimiter: str) -> None:
    """The first line names the columns, each by another name.

    Raises:
        DataError: if it is blank, where pandas would take all rows for something else; or if two columns have one
            name, where pandas would give the second another.
    """
    _, names = next(rows_of(path, delimiter), (1, [""]))
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


def _width(header: list[str]) -> int:
    """Columns of the table: names of the header, less what is empty at its end, of a trailing delimiter."""
    return max((number for number, name in enumerate(header, start=1) if name.strip()), default=len(header))


def refuse_long_rows(path: Path, source: str, delimiter: str, *, empty_too: bool = False) -> None:
    """No row has more fields than the header; empty ones at its end, of a trailing delimiter, do no harm.

    Args:
        empty_too: refuse those as well.

    Raises:
        DataError: naming the first such row; says so where the header seems to lack a name.
    """
    rows = rows_of(path, delimiter)
    width = _width(next(rows)[1])
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


def unclosed_quote(path: Path, source: str, delimiter: str) -> DataError:
    """The error for a file that ends inside quotes: they were opened in what reads as its last row."""
    number = max((number for number, _ in rows_of(path, delimiter)), default=1)
    return DataError(
        "a quote is opened and never closed.",
        where=f"{source}, row {number}",
        fix='Close it, or write a quote inside a quoted value twice (""); it may also have been opened earlier.',
    )


def short_rows(path: Path, delimiter: str) -> tuple[int, dict[int, int]]:
    """Fields of the header, and row number → fields of the rows that have fewer, blank lines left out."""
    rows = rows_of(path, delimiter)
    width = _width(next(rows)[1])
    return width, {number: len(fields) for number, fields in rows if 0 < len(fields) < width}


def closing_blank_lines(path: Path, delimiter: str) -> int:
    """How many lines at the end of the file are blank; an empty value in quotes is none."""
    blank = 0
    for _, fields in rows_of(path, delimiter):
        blank = 0 if fields else blank + 1
    return blank
