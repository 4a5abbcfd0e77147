"""Tables with a column per annotator: which columns are taken for one, and which are not."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from reading import has_note, labels_of

from dcpc.data.readers import read_annotations
from dcpc.errors import DataError


def test_wide_tables_leave_out_empty_cells(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text("text,rater_1,rater_2,topic\none,yes,no,x\ntwo,no,,y\nthree,,,z\n")
    found = read_annotations(path)
    assert labels_of(found) == ["yes", "no", "no"]
    assert found.table["topic"].tolist() == ["x", "x", "y"]
    assert has_note(found, "1 item without annotations")
    assert has_note(found, '2 annotator columns: "rater_1", "rater_2"')


def test_several_label_columns_of_a_long_table_are_not_annotators(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("text,annotator_id,label_rude,label_kind\none,a,0,1\ntwo,a,1,0\n")
    with pytest.raises(DataError, match="label=label_rude"):
        read_annotations(path)
    path.write_text("text,worker_id,user_name,rater_age\none,a,b,30\ntwo,a,b,30\n")
    with pytest.raises(DataError, match='no column "label"'):
        read_annotations(path)


def test_wide_columns_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text("text,anna,bert,age\none,yes,no,3\n")
    found = read_annotations(path, columns={"annotators": "anna|ber*"})
    assert list(found.annotators) == ["anna", "bert"]


def test_columns_about_annotators_are_not_annotators(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("text,rating,user_country,user_language\none,1,de,de\ntwo,2,fr,fr\n")
    with pytest.raises(DataError, match="label=rating"):
        read_annotations(path)


def test_numbered_columns_beside_a_likely_label_are_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "both.csv"
    path.write_text("text,score,rater_1,rater_2\none,7,yes,no\ntwo,9,no,no\n")
    with pytest.raises(DataError, match=r"label=score, or, .*annotators='rater_1\|rater_2'"):
        read_annotations(path)
    assert list(read_annotations(path, columns={"annotators": "Rater_*"}).annotators) == [
        "rater_1",
        "rater_2",
    ]


def test_numbered_columns_without_a_common_label_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    rows = "".join(f"text {i},{'yes' if i % 2 else 'no'},{'de' if i % 2 else 'fr'}\n" for i in range(20))
    path.write_text("text,label_1,label_2\n" + rows)
    with pytest.raises(DataError, match="no label in common"):
        read_annotations(path)


@pytest.mark.parametrize(
    "names", ["annotator_1,annotator_2", "user3,user4", "Label_w7,label_w8", "rater a,rater b"]
)
def test_columns_that_share_a_prefix_and_end_in_an_id_are_annotators(tmp_path: Path, names: str) -> None:
    path = tmp_path / "wide.csv"
    path.write_text(f"text,{names}\none,yes,no\ntwo,no,no\n")
    assert list(read_annotations(path).annotators) == names.split(",")


@pytest.mark.parametrize("names", ["anna,bert", "label_anna,label_bert", "labels,users"])
def test_annotators_under_other_names_are_hinted_at(tmp_path: Path, names: str) -> None:
    path = tmp_path / "wide.csv"
    path.write_text(f"text,{names},topic\none,yes,no,x\ntwo,no,NA,y\n")
    option = f"annotators='{names.replace(',', '|')}'"
    with pytest.raises(DataError, match=re.escape(option)):
        read_annotations(path)
    assert len(read_annotations(path, columns={"annotators": names.replace(",", "|")}).annotators) == 2


def test_a_wide_table_without_texts_is_told_with_its_own_columns(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text("comment,rater_1,rater_2\none,yes,no\n")
    with pytest.raises(DataError, match='found: "comment", "rater_1", "rater_2"'):
        read_annotations(path)


def test_words_for_a_missing_label_are_not_labels_of_a_wide_table(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text("text,rater_1,rater_2\none,1,NA\ntwo,2,3\nthree,nan,N/A\n")
    found = read_annotations(path)
    assert found.labels == ("1", "2", "3")
    assert found.scale == "ordinal"
    assert has_note(found, 'Taken as not labelled: "NA" (1 cell), "N/A" (1 cell), "nan" (1 cell)')
    assert has_note(found, "1 item without annotations")


def test_wide_labels_that_are_numbers_stay_integers(tmp_path: Path) -> None:
    path = tmp_path / "wide.parquet"
    pd.DataFrame({"text": ["a", "b"], "rater_1": [1, None], "rater_2": [2, 3]}).to_parquet(path)
    assert read_annotations(path).labels == ("1", "2", "3")
