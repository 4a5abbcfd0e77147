"""What a LeWiDi file may hold: texts of two parts, hidden annotations."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import has_note, save

from dcpc.data.readers import read_annotations
from dcpc.errors import DataError


def test_lewidi_two_parts_become_text_and_text_pair(tmp_path: Path) -> None:
    text = {"context": "c", "response": "r"}
    entries = {
        "1": {"text": text, "annotators": "A1,A2", "annotations": {"A1": "2", "A2": "5"}, "split": "dev"}
    }
    found = read_annotations(save(tmp_path, entries))
    assert found.items.iloc[0].to_dict() == {"item_id": "1", "text": "c", "text_pair": "r", "split": "dev"}


def test_lewidi_hidden_annotations_are_counted(tmp_path: Path) -> None:
    entries = {
        "1": {"text": "one", "annotators": "A1,A2", "annotations": "0,1"},
        "2": {"text": "two", "annotators": "", "annotations": ""},
    }
    found = read_annotations(save(tmp_path, entries))
    assert found.n_items == 1
    assert has_note(found, "1 item without annotations")


def test_lewidi_more_annotators_than_annotations(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="2 annotations by 3 annotators"):
        read_annotations(save(tmp_path, {"1": {"text": "a", "annotators": "A,B,C", "annotations": "0,1"}}))
