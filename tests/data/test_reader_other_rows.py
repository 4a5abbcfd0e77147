"""Rows that are no judgements, cells that list several judgements, and labels that a spreadsheet wrote over."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from reading import has_note, labels_of

from dcpc.data import Annotations
from dcpc.data.readers import read_annotations
from dcpc.errors import DataError

HEAD = "text,annotator_id,label\n"


def read(folder: Path, content: str) -> Annotations:
    path = folder / "table.csv"
    path.write_text(content)
    return read_annotations(path)


@pytest.mark.parametrize("row", ["Total,,10", "TOTAL,,", "Average,,2.5", "Sum,,"])
def test_a_closing_row_of_totals_is_no_judgement(tmp_path: Path, row: str) -> None:
    found = read(tmp_path, f"{HEAD}one,ann,1\none,bob,2\ntwo,ann,3\n{row}\n")
    assert labels_of(found) == ["1", "2", "3"]
    assert has_note(found, "1 closing row skipped")


@pytest.mark.parametrize("row", ["Total,bob,2", "average,bob,good"])
def test_a_text_that_says_total_is_one(tmp_path: Path, row: str) -> None:
    found = read(tmp_path, f"{HEAD}one,ann,1\none,bob,2\ntwo,ann,3\n{row}\n")
    assert found.n_judgements == 4


def test_means_below_a_wide_table(tmp_path: Path) -> None:
    found = read(tmp_path, "text,rater_1,rater_2\none,1,2\ntwo,3,1\nMean,2.0,1.5\n")
    assert labels_of(found) == ["1", "2", "3", "1"]


def test_a_ruler_of_dashes(tmp_path: Path) -> None:
    found = read(
        tmp_path, "| text | annotator_id | label |\n|---|:---|---|\n| one | ann | yes |\n| one | bob | no |\n"
    )
    assert labels_of(found) == ["yes", "no"]


def test_a_second_header_in_words_above_numbers(tmp_path: Path) -> None:
    found = read(tmp_path, f"{HEAD}The comment,Who,How rude (1-5)\none,ann,1\none,bob,4\ntwo,ann,5\n")
    assert labels_of(found) == ["1", "4", "5"]
    assert has_note(found, "Row 2 was taken as second header")


def test_a_first_label_in_words_among_words_stays(tmp_path: Path) -> None:
    assert read(tmp_path, f"{HEAD}one,ann,not sure\none,bob,4\ntwo,ann,5\n").n_judgements == 3
    assert read(tmp_path, f"{HEAD}one,ann,very bad\none,bob,good\ntwo,ann,5\n").n_judgements == 3


@pytest.mark.parametrize(
    ("who", "said"), [("ann;bob", "yes;no"), ("\"['ann', 'bob']\"", "\"['yes', 'no']\"")]
)
def test_annotators_and_labels_side_by_side(tmp_path: Path, who: str, said: str) -> None:
    found = read(tmp_path, f"text,annotators,labels\none,{who},{said}\ntwo,{who},{said}\n")
    assert labels_of(found) == ["yes", "no", "yes", "no"]
    assert found.table["annotator_id"].tolist() == ["ann", "bob", "ann", "bob"]


def test_lists_of_unequal_length_are_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match='no column "label"'):
        read(tmp_path, "text,annotators,labels\none,ann;bob,yes\ntwo,ann;bob,no;no\n")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (("Yes.", "Yes", "yep"), "differ only in punctuation"),
        (("1-5", "5-Jan", "2-5"), '"5-Jan": days of a month'),
    ],
)
def test_labels_that_a_spreadsheet_wrote_over_are_noted(
    tmp_path: Path, labels: tuple[str, ...], said: str
) -> None:
    rows = "".join(f"one,a{i},{label}\n" for i, label in enumerate(labels))
    assert has_note(read(tmp_path, HEAD + rows), said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<!DOCTYPE html><html></html>", "web page"),
        ("text,label\na,b\n".encode("utf-16-le"), "UTF-16"),
    ],
)
def test_what_is_no_table_is_told(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_annotations(path)


def test_an_archive_is_told_as_one(tmp_path: Path) -> None:
    path = tmp_path / "real.tar"
    with tarfile.open(path, "w") as archive:
        (tmp_path / "a.csv").write_text("text,label\na,b\n")
        archive.add(tmp_path / "a.csv", "a.csv")
    with pytest.raises(DataError, match="tar archive"):
        read_annotations(path)
