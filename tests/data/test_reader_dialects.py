"""Dialects of CSV: the records that a person would count are read, or the row is named."""

from __future__ import annotations

import csv as csv_module
import io
import re
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from reading import has_note

from dcpc.data.readers import read_annotations, read_item_rows
from dcpc.data.readers.tables import read_csv
from dcpc.errors import DataError


def write(folder: Path, content: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def texts(path: Path) -> list[str]:
    return read_annotations(path).table["text"].tolist()


def test_a_quote_that_no_other_closes_is_text(tmp_path: Path) -> None:
    rows = 'text\tlabel\n"Oh great\tno\nfine, I guess\tyes\nthe 5" one\tno\n'
    path = write(tmp_path, rows, "table.tsv")
    assert texts(path) == ['"Oh great', "fine, I guess", 'the 5" one']
    assert has_note(read_annotations(path), "quotes are part of the values")


def test_two_lone_quotes_do_not_swallow_the_rows_between_them(tmp_path: Path) -> None:
    rows = 'text\tlabel\tage\n"Well\tno\t3\nsecond\tyes\t4\n"Done\tno\t5\n'
    assert texts(write(tmp_path, rows, "table.tsv")) == ['"Well', "second", '"Done']


def test_quotes_escaped_by_backslashes(tmp_path: Path) -> None:
    rows = 'text,label\n"She wrote \\"no\\", twice",a\n"C:\\temp",b\n"ends so \\"",a\n'
    path = write(tmp_path, rows)
    assert texts(path) == ['She wrote "no", twice', "C:\\temp", 'ends so "']
    assert has_note(read_annotations(path), "Spark")


def test_a_backslash_at_the_end_of_a_usual_value_is_kept(tmp_path: Path) -> None:
    assert texts(write(tmp_path, 'text,label\n"in C:\\",a\n"so, there",b\n')) == ["in C:\\", "so, there"]


def test_the_first_line_may_name_the_delimiter(tmp_path: Path) -> None:
    path = write(tmp_path, "sep=|\ntext|label\none; two|a\nthree|b\n")
    assert texts(path) == ["one; two", "three"]
    with pytest.raises(DataError, match="row 4"):
        read_annotations(write(tmp_path, "sep=;\ntext;label\none;a\n;b\n", "other.csv"))


def test_the_header_may_have_other_delimiters_in_quotes(tmp_path: Path) -> None:
    path = write(tmp_path, '"Title, place, year, or name";label\nx;a\ny;b\n')
    assert read_annotations(path, columns={"text": "Title, place, year, or name"}).n_judgements == 2


def test_blanks_after_the_delimiter_may_stand_before_a_quote(tmp_path: Path) -> None:
    assert texts(write(tmp_path, 'text, label\n"a, b", yes\n"c", no\n')) == ["a, b", "c"]


def test_vertical_bars(tmp_path: Path) -> None:
    path = write(tmp_path, "text|label\none, two|a\nthree|b\n")
    assert texts(path) == ["one, two", "three"]
    assert has_note(read_annotations(path), "vertical bar")


def test_a_quote_that_closes_within_a_value_is_refused_by_row(tmp_path: Path) -> None:
    rows = 'text,label\n"one, two",a\n"three" four,b\n'
    with pytest.raises(DataError, match="row 3") as caught:
        read_annotations(write(tmp_path, rows))
    assert "closes in the middle" in caught.value.what


def test_headers_of_qualtrics_are_no_judgements(tmp_path: Path) -> None:
    rows = 'text,label\nShown text,Kind?\n"{""ImportId"":""Q1""}","{""ImportId"":""Q2""}"\none,a\ntwo,b\n'
    annotations = read_annotations(write(tmp_path, rows))
    assert annotations.table["text"].tolist() == ["one", "two"]
    assert has_note(annotations, "2 rows below the header")


def test_the_headers_of_joined_files_are_no_judgements(tmp_path: Path) -> None:
    annotations = read_annotations(write(tmp_path, "text,label\none,a\ntext,label\ntwo,b\n"))
    assert annotations.labels == ("a", "b")
    assert has_note(annotations, "1 row skipped that repeats the header")


def test_line_ends_within_a_text_stay(tmp_path: Path) -> None:
    rows = read_item_rows(write(tmp_path, b'text,label\r\n"one\r\ntwo",a\r\nthree,b\r\n'))
    assert rows.items["text"].tolist() == ["one\r\ntwo", "three"]


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv.zip", "a.csv.xz"])
def test_a_name_does_not_make_a_table_compressed(tmp_path: Path, name: str) -> None:
    assert texts(write(tmp_path, "text,label\none,a\ntwo,b\n", name)) == ["one", "two"]


def test_decimal_commas_are_numbers_where_commas_divide_nothing(tmp_path: Path) -> None:
    annotations = read_annotations(write(tmp_path, "text;label\na;1,5\nb;2,0\nc;10\n"))
    assert annotations.labels == ("1.5", "2", "10")
    assert annotations.scale == "ordinal"


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
VISIBLE = CELL.filter(lambda text: text.strip("\ufeff \t\r\n") != "")


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(VISIBLE, CELL), min_size=1, max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv_module.QUOTE_ALL, csv_module.QUOTE_MINIMAL]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    line_end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_a_csv_writer_writes_is_read_or_refused_by_row(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str]],
    delimiter: str,
    quoting: int,
    encoding: str,
    line_end: str,
) -> None:
    # The module leaves a lone carriage return without quotes, where it may as well end the line.
    assume(quoting == csv_module.QUOTE_ALL or not any("\r" in cell for row in rows for cell in row))
    buffer = io.StringIO(newline="")
    writer = csv_module.writer(buffer, delimiter=delimiter, quoting=quoting, lineterminator=line_end)
    writer.writerows([("text", "note"), *rows])
    path = tmp_path_factory.getbasetemp() / "property.csv"
    path.write_bytes(buffer.getvalue().encode(encoding))
    try:
        found = read_csv(path, "property.csv", ",;\t|").frame
    except DataError as error:
        assert re.search(r"row \d+", str(error))  # noqa: PT017 (that it may be refused is part of the property)
        return
    assert list(found["text"]) == [text for text, _ in rows]
    assert list(found["note"].fillna("")) == [note for _, note in rows]


@settings(max_examples=60, deadline=None)
@example(rows=[('"', "x"), ('\\""', "x")])
@given(
    rows=st.lists(
        st.tuples(st.text("ab \"'\\,", min_size=1, max_size=8), st.sampled_from("xy")), min_size=2, max_size=8
    )
)
def test_tabs_without_any_quoting_are_read_line_by_line_or_refused(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    # A value in quotes from end to end says that quotes enclose; beside lone ones no reader can tell.
    assume(not any(len(text) > 1 and text[0] == text[-1] == '"' for text, _ in rows))
    path = tmp_path_factory.getbasetemp() / "property.tsv"
    path.write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))
    try:
        found = read_csv(path, "property.tsv", "\t").frame
    except DataError as error:
        assert re.search(r"row \d+", str(error))  # noqa: PT017
        return
    assert len(found) == len(rows)
    assert list(found["label"]) == [label for _, label in rows]
