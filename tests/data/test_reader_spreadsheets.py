"""What spreadsheets and typesetters do to cells: nothing of it is taken for something else without a word."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import has_note, labels_of

from dcpc.data import Annotations
from dcpc.data.readers import read_annotations
from dcpc.errors import DataError


def read(folder: Path, cells: list[object], name: str = "t.csv", **options: object) -> Annotations:
    rows = {"item_id": range(len(cells)), "text": [f"t{n}" for n in range(len(cells))], "label": cells}
    frame = pd.DataFrame(rows).assign(annotator_id="x")
    if name.endswith(".parquet"):
        frame.to_parquet(folder / name)
    else:
        frame.to_csv(folder / name, index=False, sep=";" if "semicolon" in name else ",")
    return read_annotations(folder / name, **options)  # type: ignore[arg-type]


def test_commas_between_thousands_are_numbers(tmp_path: Path) -> None:
    found = read(tmp_path, ["1,000", "2,000", "500", "1,000,000.0"])
    assert (found.labels, found.scale) == (("500", "1000", "2000", "1000000"), "ordinal")
    assert has_note(found, '"1,000" as "1000"')
    assert read(tmp_path, ["1,000", "500"], exact=True).labels == ("1,000", "500")


def test_a_decimal_comma_is_none_between_thousands(tmp_path: Path) -> None:
    assert read(tmp_path, ["1,500", "2", "3,25"], "semicolon.csv").labels == ("1.5", "2", "3.25")


def test_words_beside_them_keep_numbers_as_they_are(tmp_path: Path) -> None:
    assert read(tmp_path, ["1,000", "many", "\u22121"]).labels == ("1,000", "many", "\u22121")


@pytest.mark.parametrize("minus", ["-", "\u2212", "\u2013", "\ufe63", "\uff0d"])
def test_every_minus_is_a_sign(tmp_path: Path, minus: str) -> None:
    found = read(tmp_path, [f"{minus}1", "-1", "0", "+1", f"{minus}2"])
    assert found.labels == ("-2", "-1", "0", "1")
    assert read(tmp_path, [f"{minus}1", "1"], labels=["-1", "1"]).labels == ("-1", "1")


def test_what_a_spreadsheet_keeps_as_text(tmp_path: Path) -> None:
    found = read(tmp_path, ['="good"', "good", '="bad"'])
    assert labels_of(found) == ["good", "good", "bad"]
    assert has_note(found, "Taken as equal")


def test_a_blank_before_the_percent_sign(tmp_path: Path) -> None:
    assert labels_of(read(tmp_path, ["75 %", "75%", "50\u00a0%"])) == ["75%", "75%", "50%"]


@pytest.mark.parametrize("cell", ["#REF!", "#VALUE!", "#DIV/0!", "#NAME?"])
def test_errors_of_formulas_are_noted(tmp_path: Path, cell: str) -> None:
    assert has_note(read(tmp_path, [cell, "yes", "no"]), "--ignore-labels")


def test_truth_values_of_several_tools_are_noted(tmp_path: Path) -> None:
    assert has_note(read(tmp_path, ["TRUE", "yes", "no", "FALSE"]), "kept apart")
    assert not has_note(read(tmp_path, ["yes", "no"]), "kept apart")
    assert not has_note(read(tmp_path, ["0", "1"]), "kept apart")


@pytest.mark.parametrize(
    "dates", [["2021-01-05", "2021-02-01"], ["1/2/2021", "3/4/2021"], ["2021-01-05 10:00", "2020-1-1"]]
)
def test_labels_that_are_dates_are_noted(tmp_path: Path, dates: list[object]) -> None:
    assert has_note(read(tmp_path, dates), "dates")


def test_a_row_of_means_below_the_table_is_noted_and_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text("text,rater_1,rater_2\none,1,2\ntwo,2,2\nMean:,1.5,2\n")
    assert has_note(read_annotations(tmp_path / "w.csv"), "--where 'text != \"Mean:\"'")
    left = read_annotations(tmp_path / "w.csv", where='text != "Mean:"')
    assert left.labels == ("1", "2")
    assert not has_note(left, "last row")


def test_ordered_categories_keep_their_order(tmp_path: Path) -> None:
    kind = pd.CategoricalDtype(["low", "middle", "high"], ordered=True)
    found = read(tmp_path, pd.Series(["high", "low", "high"], dtype=kind), "t.parquet")  # type: ignore[arg-type]
    assert (found.labels, found.scale) == (("low", "middle", "high"), "ordinal")
    plain = pd.Series(["high", "low", "middle"], dtype="category")
    assert read(tmp_path, plain, "t.parquet").scale == "nominal"  # type: ignore[arg-type]


def test_invisible_marks_in_a_header_hide_no_column(tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text("text\u00a0,label\u200b,annotator_id\na,x,1\nb,y,1\n", encoding="utf-8")
    assert labels_of(read_annotations(tmp_path / "h.csv")) == ["x", "y"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_its_mark_is_named(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "u.csv").write_bytes("text,label\na,x\nb,y\n".encode(encoding))
    with pytest.raises(DataError, match="UTF-16"):
        read_annotations(tmp_path / "u.csv")


numbers = st.integers(-999_999, 999_999)


@settings(max_examples=40)
@given(
    st.lists(numbers, min_size=2, max_size=8, unique=True),
    st.sampled_from(["-", "\u2212", "\u2013"]),
    st.booleans(),
)
def test_numbers_are_the_same_however_they_are_set(values: list[int], minus: str, commas: bool) -> None:
    written: list[object] = [(f"{v:,}" if commas else str(v)).replace("-", minus) for v in values]
    with tempfile.TemporaryDirectory() as folder:
        found = read(Path(folder), written)
    assert [int(label) for label in labels_of(found)] == values
