"""What a Label Studio export may hold besides plain labels: drafts, several controls, pairs, spans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from reading import has_note, labels_of, save

from dcpc.data.readers import read_annotations
from dcpc.errors import DataError


def task(result: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"completed_by": 1, "result": result, "was_cancelled": False, **more}


def choice(value: str, control: str = "verdict") -> dict[str, Any]:
    return {"from_name": control, "to_name": "text", "type": "choices", "value": {"choices": [value]}}


def test_label_studio_leaves_out_and_counts_what_is_no_judgement(tmp_path: Path) -> None:
    tasks = [
        {
            "id": 1,
            "data": {"text": "one"},
            "annotations": [
                task([choice("yes")]),
                task([choice("no")], completed_by=2, was_cancelled=True),
                task([], completed_by=3),
            ],
            "drafts": [task([choice("no")])],
            "predictions": [{"result": [choice("no")]}],
        },
        {"id": 2, "data": {"text": "two"}, "annotations": [task([choice("no")])]},
        {"id": 3, "data": {"text": "three"}, "annotations": []},
    ]
    found = read_annotations(save(tmp_path, tasks))
    assert labels_of(found) == ["yes", "no"]
    for note in (
        "1 annotation (cancelled)",
        "1 judgement without an answer",
        "1 draft",
        "1 task without annotations",
    ):
        assert has_note(found, note)


def test_label_studio_with_several_controls_asks_which_holds_the_labels(tmp_path: Path) -> None:
    rating = {"from_name": "stars", "to_name": "text", "type": "rating", "value": {"rating": 4}}
    tasks = [
        {
            "id": n,
            "data": {"text": f"t{n}"},
            "annotations": [task([choice(label), {**rating, "value": {"rating": n}}])],
        }
        for n, label in enumerate(["yes", "no", "no"], start=1)
    ]
    path = save(tmp_path, tasks)
    with pytest.raises(DataError, match='several questions: "verdict", "stars"'):
        read_annotations(path)
    assert read_annotations(path, columns={"label": "stars"}).labels == ("1", "2", "3")
    with pytest.raises(DataError, match='no question "star"'):
        read_annotations(path, columns={"label": "star"})


def test_label_studio_pairwise_is_a_preference(tmp_path: Path) -> None:
    def selected(side: str) -> dict[str, Any]:
        return {"from_name": "better", "type": "pairwise", "value": {"selected": side}}

    data = {"prompt": "p", "first": "x", "second": "y"}
    tasks = [
        {"id": n, "data": data, "annotations": [task([selected(s)])]} for n, s in enumerate(["left", "right"])
    ]
    columns = {"text": "prompt", "response_a": "first", "response_b": "second"}
    found = read_annotations(save(tmp_path, tasks), columns=columns)
    assert found.scale == "preference"
    assert labels_of(found) == ["a", "b"]


def test_label_studio_ignores_spans_beside_the_label(tmp_path: Path) -> None:
    span = {
        "from_name": "spans",
        "type": "labels",
        "value": {"start": 0, "end": 3, "text": "one", "labels": ["X"]},
    }
    tasks = [
        {"id": n, "data": {"text": f"t{n}"}, "annotations": [task([span, choice(label)])]}
        for n, label in enumerate(["yes", "no"])
    ]
    assert labels_of(read_annotations(save(tmp_path, tasks))) == ["yes", "no"]


def test_a_field_that_is_not_called_text_is_found_if_it_is_the_only_one(tmp_path: Path) -> None:
    tasks = [
        {"id": n, "data": {"comment": f"t{n}", "age": n}, "annotations": [task([choice(label)])]}
        for n, label in enumerate(["yes", "no"])
    ]
    assert read_annotations(save(tmp_path, tasks)).table["age"].tolist() == [0, 1]
    for entry in tasks:
        entry["data"]["title"] = "a title"  # type: ignore[index]
    path = save(tmp_path, tasks)
    with pytest.raises(DataError, match="text=comment"):
        read_annotations(path)
    assert read_annotations(path, columns={"text": "title", "text_pair": "comment"}).n_items == 2
