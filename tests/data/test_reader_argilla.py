"""What an Argilla export may hold besides plain labels: drafts, rankings, pairs, the form of version 1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from reading import has_note, labels_of, save

from dcpc.data.readers import read_annotations
from dcpc.errors import DataError


def argilla(responses: object, **fields: str) -> dict[str, Any]:
    return {
        "id": "r1",
        "fields": fields or {"text": "one"},
        "responses": responses,
        "metadata": {"source": "web"},
    }


def test_argilla_leaves_out_and_counts_drafts_and_discarded_responses(tmp_path: Path) -> None:
    given = [
        {"value": "yes", "user_id": "a", "status": "submitted"},
        {"value": "no", "user_id": "b"},
        {"value": "no", "user_id": "c", "status": "draft"},
        {"value": "no", "user_id": "d", "status": "discarded"},
    ]
    records = [argilla({"q": given}), {**argilla({}), "id": "r2"}]
    found = read_annotations(save(tmp_path, records))
    assert labels_of(found) == ["yes", "no"]
    assert found.table["source"].tolist() == ["web", "web"]
    for note in ("1 response (draft)", "1 response (discarded)", "1 record without responses"):
        assert has_note(found, note)


def test_argilla_1_drafts_without_values_are_counted(tmp_path: Path) -> None:
    given = [
        {"user_id": "a", "status": "submitted", "values": {"q": {"value": 1}}},
        {"user_id": "b", "status": "submitted", "values": {"q": {"value": 2}}},
        {"user_id": "c", "status": "draft", "values": {"q": {"value": 1}}},
    ]
    found = read_annotations(save(tmp_path, [argilla(given)]))
    assert labels_of(found) == ["1", "2"]
    assert has_note(found, "1 response (draft)")


def test_argilla_rankings_are_not_labels(tmp_path: Path) -> None:
    ranking = [{"value": [{"value": "x", "rank": 1}], "user_id": "a"}]
    with pytest.raises(DataError, match="ranking"):
        read_annotations(save(tmp_path, [argilla({"q": ranking})]))


def test_argilla_responses_of_two_texts_are_a_preference(tmp_path: Path) -> None:
    given = {"q": [{"value": "response_a", "user_id": "x"}, {"value": "tie", "user_id": "y"}]}
    found = read_annotations(save(tmp_path, [argilla(given, text="p", response_a="1st", response_b="2nd")]))
    assert found.scale == "preference"
    assert labels_of(found) == ["a", "tie"]


def test_argilla_1_question_columns_of_a_data_set_on_the_hub(tmp_path: Path) -> None:
    import datasets

    def answer(user: str, value: str, status: str = "submitted") -> dict[str, str]:
        return {"user_id": user, "value": value, "status": status}

    rows = [
        {"text": "one", "external_id": "r1", "verdict": [answer("a", "yes"), answer("b", "no", "discarded")]},
        {"text": "two", "external_id": "r2", "verdict": [answer("a", "no")]},
    ]
    datasets.Dataset.from_list(rows).save_to_disk(tmp_path / "saved")
    found = read_annotations(tmp_path / "saved")
    assert labels_of(found) == ["yes", "no"]
    assert has_note(found, "1 response (discarded)")
