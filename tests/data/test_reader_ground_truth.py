"""The forms of answers in exports of SageMaker Ground Truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from reading import labels_of, save

from dcpc.data.readers import read_annotations
from dcpc.errors import DataError


def worker(name: str, content: object) -> dict[str, Any]:
    return {"workerId": name, "annotationData": {"content": json.dumps(content)}}


@pytest.mark.parametrize(
    "content",
    [{"q": "yes"}, {"q": {"label": "yes"}}, {"q": {"labels": ["yes"]}}, {"q": {"no": False, "yes": True}}],
)
def test_ground_truth_answers_in_every_kind_of_form(tmp_path: Path, content: object) -> None:
    line = {
        "source": "one",
        "job": {"annotationsFromAllWorkers": [worker("a", content), worker("b", {"q": "no"})]},
    }
    assert labels_of(read_annotations(save(tmp_path, [line], "export.jsonl"))) == ["yes", "no"]


def test_ground_truth_consolidation_requests(tmp_path: Path) -> None:
    given = [worker("a", {"q": "yes"}), worker("b", {"q": "no"})]
    record = {"datasetObjectId": "7", "dataObject": {"content": "one"}, "annotations": given}
    found = read_annotations(save(tmp_path, [record]))
    assert found.item_ids.tolist() == ["7"]
    assert labels_of(found) == ["yes", "no"]


def test_ground_truth_texts_that_are_elsewhere(tmp_path: Path) -> None:
    line = {
        "source-ref": "s3://bucket/1.txt",
        "job": {"annotationsFromAllWorkers": [worker("a", {"q": "yes"})]},
    }
    with pytest.raises(DataError, match="source-ref"):
        read_annotations(save(tmp_path, [line], "export.jsonl"))


def test_ground_truth_content_that_is_not_json(tmp_path: Path) -> None:
    bad = {"workerId": "a", "annotationData": {"content": "{"}}
    with pytest.raises(DataError, match="malformed JSON"):
        read_annotations(
            save(tmp_path, [{"source": "x", "job": {"annotationsFromAllWorkers": [bad]}}], "e.jsonl")
        )
