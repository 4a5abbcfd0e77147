"""What writers put into a file, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from export_formats import EXPORTS, Judgement

from dcpc.data import Annotations
from dcpc.data.readers import read_annotations
from dcpc.data.writers import table_in_parts, write_argilla, write_crowdkit, write_long, write_table
from dcpc.errors import UsageError

ROWS = [Judgement("1", "one", "1", "yes"), Judgement("1", "one", "2", "no"), Judgement("2", "two", "1", "no")]


def long(tmp_path: Path) -> Annotations:
    return read_annotations(EXPORTS["long csv"][1](ROWS, tmp_path))


def test_suggestions_are_the_most_likely_labels(tmp_path: Path) -> None:
    annotations = long(tmp_path)
    path = write_argilla(
        annotations, tmp_path / "out.json", suggestions=annotations.soft_labels[:, ::-1] * 0.8
    )
    records = json.loads(path.read_text())
    assert records[1]["suggestions"]["label"] == {"value": "yes", "score": 0.8, "agent": "dcpc"}
    with pytest.raises(UsageError, match="shape"):
        write_argilla(annotations, tmp_path / "out.json", suggestions=annotations.soft_labels[:, :1])


def test_crowd_kit_columns(tmp_path: Path) -> None:
    frame = pd.read_csv(write_crowdkit(long(tmp_path), tmp_path / "out.csv", texts=False))
    assert list(frame.columns) == ["task", "worker", "label"]


def test_writers_refuse_what_they_cannot_write(tmp_path: Path) -> None:
    annotations = long(tmp_path)
    with pytest.raises(UsageError, match=r"\.parquet"):
        write_long(annotations, tmp_path / "out.xlsx")
    nobody = Annotations(annotations.table.drop(columns="annotator_id"), annotations.labels)
    with pytest.raises(UsageError, match="annotators"):
        write_crowdkit(nobody, tmp_path / "out.csv")
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_a_table_in_parts_is_the_table(tmp_path: Path, suffix: str) -> None:
    texts = ["one", "two,\r3", 'f"our', "fünf", "six\tseven"]
    table = pd.DataFrame(
        {"row": range(5), "text": pd.array(texts, dtype="str"), "p": [0.1, 0.2, 1.0, 1e-9, 0.5]}
    )
    with table_in_parts(tmp_path / f"parts{suffix}") as write:
        for start in (0, 2, 4):
            write(table.iloc[start : start + 2])
    write_table(table, tmp_path / f"whole{suffix}")
    if suffix == ".parquet":  # whose row groups tell the parts
        read = [pd.read_parquet(tmp_path / f"{name}{suffix}") for name in ("parts", "whole")]
        pd.testing.assert_frame_equal(*read)
    else:
        assert (tmp_path / f"parts{suffix}").read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()


def test_a_table_whose_parts_end_early_is_not_there(tmp_path: Path) -> None:
    def cut_off() -> None:
        with table_in_parts(tmp_path / "table.csv") as write:
            write(pd.DataFrame({"row": [1]}))
            raise ValueError("a later part cannot be made")

    with pytest.raises(ValueError, match="later part"):
        cut_off()
    assert list(tmp_path.iterdir()) == []


def test_a_table_of_no_rows_has_its_columns(tmp_path: Path) -> None:
    write_table(pd.DataFrame({"row": [], "text": []}), tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == '"row","text"\n'
