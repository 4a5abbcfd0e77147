"""Values that a format holds and a table would change, or cannot hold."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dcpc.data.readers import read_annotations
from dcpc.errors import DataError
from dcpc.inspection import inspect_annotations

IDS = [1234567890123456780 + i for i in range(5)]


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_long_ids_stay_apart_beside_a_missing_one(tmp_path: Path, ending: str) -> None:
    who = [*IDS, None, *IDS]
    rows = [{"text": f"text {i}", "label": "ab"[i % 2], "annotator_id": a} for i, a in enumerate(who)]
    path = tmp_path / f"rows.{ending}"
    if ending == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    annotations = read_annotations(path)
    assert list(annotations.annotators) == [str(number) for number in IDS]


def test_half_a_character_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    whole = json.dumps({"text": "fine 😀", "label": "a"})  # written as a pair of escapes
    path.write_text(whole + '\n{"text": "cut \\ud83d", "label": "b"}\n', encoding="utf-8")
    with pytest.raises(DataError, match="half a character") as caught:
        read_annotations(path)
    assert "line 2" in str(caught.value)


def test_columns_of_lists_and_mappings_are_no_attributes_of_annotators(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [
        {
            "text": f"text {i}",
            "item_id": i,
            "label": "ab"[(i + a) % 2],
            "annotator_id": a,
            "tags": ["x"],
            "meta": {},
        }
        for i in range(10)
        for a in range(3)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert inspect_annotations(read_annotations(path), pairs=False).overlap is not None


def test_true_and_one_are_two_labels(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"text": f"text {i}", "label": [True, 1, False, 0, "x"][i % 5]} for i in range(10)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert set(read_annotations(path).labels) == {"true", "1", "false", "0", "x"}


def test_numbers_beside_a_word_keep_their_spelling_and_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    labels = ["1", "1.0", "2", "skip"]
    path.write_text(
        "text,label\n" + "".join(f"text {i},{labels[i % 4]}\n" for i in range(8)), encoding="utf-8"
    )
    annotations = read_annotations(path)
    assert set(annotations.labels) == set(labels)
    assert any('"1", "1.0" are labels of their own' in note for note in annotations.notes)


def test_labels_that_differ_only_in_blanks_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\none,not good\ntwo,not  good\nthree,fine\n", encoding="utf-8")
    annotations = read_annotations(path)
    assert annotations.labels == ("fine", "not  good", "not good")
    assert any("differ only in blanks" in note for note in annotations.notes)
