"""How a table of text is written: its encoding, delimiter and quotes, told from what stands in it.

Spreadsheets, Spark and databases write CSV in dialects of their own. A dialect is taken only where the whole file
reads well in it; where none fits, the reader refuses the first row that does not. Whatever is not the usual dialect
is said in a note.
"""

from __future__ import annotations

import csv
import io
import mmap
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TextIO

from dcpc.data.readers.text import not_utf8
from dcpc.errors import DataError

DELIMITERS = ",;\t|"
_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar", " ": "space"}
_SAMPLE = 200
"""Records from whose number of fields the delimiter is told."""

_SEPARATOR_LINE = re.compile(r'\s*"?sep=(.)"?\s*', re.I)
_QUOTE_AFTER_BACKSLASHES = re.compile(r'(\\+)"')
_QUOTED = re.compile(r'"([^"]|"")*"')


@dataclass(frozen=True)
class Dialect:
    """How one file of values is written.

    Attributes:
        delimiter: stands between two values.
        encoding: of the file.
        quoting: whether quotes enclose values; else they are part of the text.
        backslash: whether a quote inside quotes is written `\\"`, as Spark does, instead of twice.
        skip_space: whether spaces after a delimiter are no part of a value.
        skipped: lines above the header, as Excel's `sep=;`.
        sound: whether all rows read well in it; if not, no dialect fits, and some row has to be refused.
    """

    delimiter: str = ","
    encoding: str = "utf-8-sig"
    quoting: bool = True
    backslash: bool = False
    skip_space: bool = False
    skipped: int = 0
    sound: bool = True

    def notes(self, usual: str) -> tuple[str, ...]:
        """What a user should know of how the file was read; delimiters in `usual` go without saying."""
        said = []
        if self.encoding != "utf-8-sig":
            said.append(f"the encoding is {self.encoding.upper()}")
        if self.delimiter not in usual:
            said.append(f"the delimiter is a {_NAMES.get(self.delimiter, repr(self.delimiter))}")
        if self.skipped:
            said.append(f"the first line names the delimiter (sep={self.delimiter}) and was skipped")
        if not self.quoting:
            said.append("quotes are part of the values, since they do not enclose any")
        if self.backslash:
            said.append('a quote within quotes is written \\", as Spark and databases do')
        if self.skip_space:
            said.append("spaces after a delimiter are no part of a value")
        return (f"Told from the file: {'; '.join(said)}.",) if said else ()

    def open(self, path: Path) -> TextIO:
        """The file's text from its header on, with quotes inside quotes written twice."""
        if self.backslash:
            with path.open(encoding=self.encoding, newline="") as whole:
                text = whole.read()
            file: TextIO = io.StringIO(_QUOTE_AFTER_BACKSLASHES.sub(_doubled, text), newline="")
        else:
            file = path.open(encoding=self.encoding, newline="")
        for _ in range(self.skipped):
            file.readline()
        return file

    def rows(self, path: Path, *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
        """Number and fields of each record as a spreadsheet counts them; a blank line has no field.

        Raises:
            csv.Error: if `strict` and a closing quote is followed by more text, or never comes.
        """
        limit = csv.field_size_limit(sys.maxsize)  # a text may be longer than the module's usual limit
        try:
            with self.open(path) as file:
                reader = csv.reader(
                    file,
                    delimiter=self.delimiter,
                    quoting=csv.QUOTE_MINIMAL if self.quoting else csv.QUOTE_NONE,
                    skipinitialspace=self.skip_space,
                    strict=strict,
                )
                yield from enumerate(reader, start=1 + self.skipped)
        finally:
            csv.field_size_limit(limit)


def _doubled(found: re.Match[str]) -> str:
    """Backslashes before a quote: each pair is one, and one that is left over belongs to the quote."""
    pairs, single = divmod(len(found[1]), 2)
    return "\\" * pairs + ('""' if single else '"')


def find_dialect(path: Path, source: str, candidates: str = DELIMITERS) -> Dialect:
    """The dialect in which a file reads well; the usual one where none does, whose reader then says what is wrong.

    Args:
        path: the file.
        source: as the user named it.
        candidates: delimiters that it may have.

    Raises:
        DataError: if the file is no text in UTF-8, or in UTF-16 with its mark.
    """
    _refuse_archive(path, source)
    start = replace(Dialect(), encoding=_encoding(path))
    try:
        with start.open(path) as file:
            first = file.readline()
        separator = _SEPARATOR_LINE.fullmatch(first.rstrip("\r\n"))
        if separator:
            start = replace(start, skipped=1, delimiter=separator[1])
        else:
            start = replace(start, delimiter=_delimiter(path, start, candidates))
        return _with_quotes(path, start) if _has_quotes(path, start) else start
    except UnicodeDecodeError:
        not_utf8(path, source)


def _refuse_archive(path: Path, source: str) -> None:
    with path.open("rb") as file:
        if file.read(265)[257:262] == b"ustar":
            raise DataError("the file is a tar archive.", where=source, fix="Unpack it first.")


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(2)
    return "utf-16" if head in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _has_quotes(path: Path, dialect: Dialect) -> bool:
    if dialect.encoding == "utf-16":
        return True
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(b'"') >= 0


def _delimiter(path: Path, dialect: Dialect, candidates: str) -> str:
    """The delimiter that splits the header, and most rows like it, into most fields."""
    scores = {}
    for delimiter in candidates:
        rows = replace(dialect, delimiter=delimiter).rows(path)
        widths = [len(fields) for _, fields in islice(rows, _SAMPLE) if fields]
        if not widths:
            continue
        alike = sum(width == widths[0] for width in widths) / len(widths)
        scores[delimiter] = (widths[0] > 1 and alike >= 0.5, widths[0] > 1, widths[0])
    # Where nothing splits the header, it names one column: so does the usual delimiter, if no row has it.
    return max(scores, key=lambda delimiter: scores[delimiter], default=candidates[0])


def _with_quotes(path: Path, dialect: Dialect) -> Dialect:
    """The first dialect of quotes in which every row is well-formed, else the usual one, marked as unsound."""
    plain, backslash = replace(dialect, quoting=False), replace(dialect, backslash=True)
    usual = _records(path, dialect)
    if usual is not None and not usual.several_lines:
        return dialect
    if usual is not None:
        # Values over several lines may be rows that a lone quote has swallowed.
        if _every_line_is_a_row(path, plain):
            return plain
        other = _records(path, backslash)
        return backslash if other is not None and other.number > usual.number else dialect
    for fits in (backslash, replace(dialect, skip_space=True)):
        found = _records(path, fits)
        if found is not None and not (found.several_lines and _every_line_is_a_row(path, plain)):
            return fits
    return plain if _every_line_is_a_row(path, plain) else replace(dialect, sound=False)


@dataclass(frozen=True)
class _Records:
    number: int
    several_lines: bool


def _records(path: Path, dialect: Dialect) -> _Records | None:
    """How many records the file has, and whether any goes over several lines; None where one is malformed."""
    last, several_lines = 0, False
    try:
        rows = dialect.rows(path, strict=True)
        width = width_of(next(rows)[1])
        for last, fields in rows:  # noqa: B007 (the last number is how many there are)
            if any(fields[width:]):
                return None
            several_lines = several_lines or any("\n" in value or "\r" in value for value in fields)
    except (csv.Error, StopIteration):
        return None
    return _Records(last, several_lines)


def width_of(header: list[str]) -> int:
    """Columns of the table: names of the header, less what is empty at its end, of a trailing delimiter."""
    return max((number for number, name in enumerate(header, start=1) if name.strip()), default=len(header))


def _every_line_is_a_row(path: Path, plain: Dialect) -> bool:
    """Whether each line by itself has as many values as the header, none of which is well enclosed in quotes."""
    enclosed = 0
    widths: Counter[int] = Counter()
    for _, fields in plain.rows(path):
        if fields:
            widths[len(fields)] += 1
            enclosed += sum(len(value) > 1 and bool(_QUOTED.fullmatch(value)) for value in fields)
    return len(widths) == 1 and min(widths) > 1 and not enclosed
