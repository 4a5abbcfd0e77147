"""Predictions in the forms that annotation tools import, checked by the tools' own libraries where they are there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from reading import save

from dcpc.data.back import TOOLS, predictions_of, write_predictions
from dcpc.data.back.label_studio import records as label_studio_records
from dcpc.data.readers import read_item_rows
from dcpc.errors import UsageError

SHARES = [(0.75, 0.25), (0.25, 0.75)]


def predict(path: Path, **columns: str) -> list[Any]:
    """As an adapter would predict the two items of a source."""
    rows = read_item_rows(path, columns=columns)
    table = rows.items if rows.has_ids else rows.items.drop(columns="item_id")
    yes, no = zip(*SHARES, strict=True)
    table = table.assign(label=["yes", "no"], p_yes=yes, p_no=no)
    return predictions_of(rows, table)


def written(path: Path, tool: str, folder: Path) -> list[dict[str, Any]]:
    output = folder / ("back.json" if tool in ("label-studio", "argilla") else "back.jsonl")
    text = write_predictions(predict(path), output, tool).read_text(encoding="utf-8")
    return json.loads(text) if output.suffix == ".json" else [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def pending(tmp_path: Path) -> dict[str, Path]:
    answer = {"from_name": "tone", "to_name": "shown", "type": "choices", "value": {"choices": ["yes"]}}
    done = [{"completed_by": 1, "result": [answer]}]
    tasks = [
        {"id": 7, "data": {"review": "one"}, "annotations": done},
        {"id": 8, "data": {"review": "two"}, "annotations": []},
    ]
    records = [
        {"id": f"r{n}", "fields": {"review": t}, "responses": {}} for n, t in enumerate(["one", "two"])
    ]
    options = [{"id": 1, "text": "yes"}, {"id": 2, "text": "no"}]
    prodigy = [
        {"text": t, "_input_hash": n, "_task_hash": -n, "options": options}
        for n, t in enumerate(["one", "two"])
    ]
    doccano = [{"id": n, "text": t, "label": [], "Comments": []} for n, t in enumerate(["one", "two"])]
    return {
        "label-studio": save(tmp_path, tasks, "ls.json"),
        "argilla": save(tmp_path, records, "argilla.json"),
        "prodigy": save(tmp_path, prodigy, "prodigy.jsonl"),
        "doccano": save(tmp_path, doccano, "doccano.jsonl"),
    }


def test_label_studio_takes_the_predictions(pending: dict[str, Path], tmp_path: Path) -> None:
    tasks = written(pending["label-studio"], "label-studio", tmp_path)
    assert [(task["id"], task["data"]) for task in tasks] == [(7, {"review": "one"}), (8, {"review": "two"})]
    predictions = [task["predictions"][0] for task in tasks]
    assert [one["score"] for one in predictions] == [0.75, 0.75]
    assert [one["result"][0]["value"] for one in predictions] == [{"choices": ["yes"]}, {"choices": ["no"]}]
    interface = pytest.importorskip("label_studio_sdk.label_interface").LabelInterface(
        '<View><Text name="shown" value="$review"/><Choices name="tone" toName="shown">'
        '<Choice value="yes"/><Choice value="no"/></Choices></View>'
    )
    assert [interface.validate_prediction(one) for one in predictions] == [True, True]


def test_argilla_takes_the_suggestions(pending: dict[str, Path], tmp_path: Path) -> None:
    records = written(pending["argilla"], "argilla", tmp_path)
    assert [record["id"] for record in records] == ["r0", "r1"]
    assert records[0]["suggestions"]["label"] == {"value": "yes", "score": 0.75, "agent": "dcpc"}
    assert records[0]["metadata"] == {"p_yes": 0.75, "p_no": 0.25}
    record = pytest.importorskip("argilla").Record.from_dict(records[1])
    suggestion = record.suggestions["label"]
    assert (record.fields["review"], suggestion.value, suggestion.score) == ("two", "no", 0.75)


def test_prodigy_tasks_keep_hashes_and_accept_the_option(pending: dict[str, Path], tmp_path: Path) -> None:
    tasks = written(pending["prodigy"], "prodigy", tmp_path)
    assert [(task["_task_hash"], task["accept"]) for task in tasks] == [(0, [1]), (-1, [2])]
    assert tasks[0]["cats"] == {"yes": 0.75, "no": 0.25}
    assert "answer" not in tasks[0]


def test_doccano_examples_have_a_list_of_labels(pending: dict[str, Path], tmp_path: Path) -> None:
    examples = written(pending["doccano"], "doccano", tmp_path)
    assert [(one["id"], one["text"], one["label"]) for one in examples] == [
        (0, "one", ["yes"]),
        (1, "two", ["no"]),
    ]


@pytest.mark.parametrize("tool", TOOLS)
def test_a_table_goes_to_every_tool_too(tool: str, tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    pd.DataFrame({"item_id": ["x", "y"], "text": ["one", "two"]}).to_csv(path, index=False)
    assert len(written(path, tool, tmp_path)) == 2


def test_a_file_that_a_tool_would_not_import_is_refused(pending: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"label-studio imports \.json files"):
        write_predictions(predict(pending["label-studio"]), tmp_path / "a.csv", "label-studio")
    with pytest.raises(UsageError, match="Tools: label-studio"):
        write_predictions([], tmp_path / "a.json", "labelimg")


@pytest.mark.parametrize("source", TOOLS)
@pytest.mark.parametrize("tool", TOOLS)
def test_one_tools_export_goes_to_another_as_plain_texts(
    source: str, tool: str, pending: dict[str, Path], tmp_path: Path
) -> None:
    made = written(pending[source], tool, tmp_path)
    if tool in ("prodigy", "doccano"):
        assert [record["text"] for record in made] == ["one", "two"]
    foreign = {
        "label-studio": {"_input_hash", "fields", "responses", "Comments"},
        "argilla": {"_input_hash", "data", "annotations", "Comments"},
        "prodigy": {"data", "annotations", "fields", "responses", "Comments"},
        "doccano": {"data", "annotations", "fields", "responses", "_input_hash"},
    }[tool]
    assert [foreign & set(record) for record in made] == [set(), set()]


def test_the_control_of_label_studio_can_be_named(tmp_path: Path) -> None:
    tasks = [{"id": n, "data": {"text": t}, "annotations": []} for n, t in enumerate(["one", "two"])]
    path = save(tmp_path, tasks, "ls.json")
    made = label_studio_records(predict(path), "tone:shown")
    (answer,) = made[0]["predictions"][0]["result"]
    assert (answer["from_name"], answer["to_name"]) == ("tone", "shown")
