"""Tables and folders of them: separators, suffixes, splits, further columns."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from export_formats import EXPORTS, Judgement
from reading import save

from dcpc.data.readers import read_annotations
from dcpc.errors import DataError

ROWS = [Judgement("1", "one", "1", "yes"), Judgement("1", "one", "2", "no"), Judgement("2", "two", "1", "no")]


def test_semicolons_separate_too(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("text;label\na, b;yes\nc;no\n")
    assert read_annotations(path).items["text"].tolist() == ["a, b", "c"]


@pytest.mark.parametrize(
    "header", ["text,label,label", "text,label,note,label", '"text",label,other,"label"']
)
def test_two_columns_of_one_name_are_refused(tmp_path: Path, header: str) -> None:
    row = ",".join("x" for _ in header.split(","))
    (tmp_path / "data.csv").write_text(f"{header}\n{row}\n")
    with pytest.raises(DataError, match=r'row 1: the columns 2 and [34] have the same name, "label"'):
        read_annotations(tmp_path / "data.csv")


def test_columns_without_a_name_may_be_several(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("text,label,,\na,yes,,\nb,no,,\n")
    assert read_annotations(tmp_path / "data.csv").n_judgements == 2


def test_the_content_decides_not_the_suffix(tmp_path: Path) -> None:
    for name, (_, write) in EXPORTS.items():
        (tmp_path / name).mkdir()
        if (path := write(ROWS, tmp_path / name)).is_file():
            path = path.rename(tmp_path / name / "export.data")
            assert read_annotations(path).n_judgements == len(ROWS)


def test_files_of_a_folder_are_joined_and_name_their_splits(tmp_path: Path) -> None:
    pd.DataFrame({"text": ["a"], "label": ["x"]}).to_parquet(tmp_path / "train-00000-of-00001.parquet")
    pd.DataFrame({"text": ["b"], "label": ["y"]}).to_parquet(tmp_path / "test-00000-of-00001.parquet")
    found = read_annotations(tmp_path)
    assert dict(zip(found.items["text"], found.items["split"], strict=True)) == {"a": "train", "b": "test"}


def test_attributes_come_along(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    save(tmp_path, [{"text": "a", "label": 1, "age": 30}, {"text": "b", "label": 2, "age": 40}], "data.jsonl")
    assert read_annotations(path).table["age"].tolist() == [30, 40]


def test_a_hub_data_set_that_cannot_be_reached() -> None:
    with pytest.raises(DataError, match="cannot be loaded"):
        read_annotations("nobody-at-all/no-such-data-set")
