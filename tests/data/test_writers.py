"""What writers put into a file, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from export_formats import EXPORTS, Judgement

from dcpc.data import Annotations
from dcpc.data.readers import read_annotations
from dcpc.data.writers import write_argilla, write_crowdkit, write_long
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
