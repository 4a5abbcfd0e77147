"""JSON documents whose records are in an envelope, or written column by column."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import has_note, labels_of, save

from dcpc.data.readers import read_annotations
from dcpc.errors import DataError

RECORDS = [
    {"text": "Great service.", "annotator_id": "anna", "label": "good"},
    {"text": "Great service.", "annotator_id": "bert", "label": "bad"},
    {"text": "Too slow.", "annotator_id": "anna", "label": "bad"},
]
BY_COLUMN = {name: [record[name] for record in RECORDS] for name in RECORDS[0]}
FORMS = {
    "data": {"data": RECORDS, "meta": {"page": 1}},
    "rows": {"rows": RECORDS},
    "annotations": {"annotations": RECORDS, "version": "1"},
    "twice": {"result": {"items": RECORDS}},
    "viewer": {
        "features": [],
        "rows": [{"row_idx": i, "row": row, "truncated_cells": []} for i, row in enumerate(RECORDS)],
    },
    "pandas": {name: {str(i): value for i, value in enumerate(column)} for name, column in BY_COLUMN.items()},
    "lists": BY_COLUMN,
    "split": {
        "columns": list(BY_COLUMN),
        "index": [0, 1, 2],
        "data": [list(record.values()) for record in RECORDS],
    },
    "table": {"schema": {"fields": []}, "data": RECORDS},
    "by id": {f"j{i}": record for i, record in enumerate(RECORDS)},
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_judgements_whatever_is_around_them(tmp_path: Path, form: str) -> None:
    found = read_annotations(save(tmp_path, FORMS[form]))
    assert labels_of(found) == ["good", "bad", "bad"]
    assert found.table["annotator_id"].tolist() == ["anna", "bert", "anna"]
    assert form == "by id" or has_note(found, "of the JSON document")


def test_keys_of_a_document_stay_as_ids(tmp_path: Path) -> None:
    assert read_annotations(save(tmp_path, FORMS["by id"])).table["id"].tolist() == ["j0", "j1", "j2"]


def test_a_tools_export_in_an_envelope(tmp_path: Path) -> None:
    task = {
        "id": 1, "data": {"text": "Great service."},
        "annotations": [
            {"completed_by": who, "result": [{"from_name": "l", "type": "choices", "value": {"choices": [label]}}]}
            for who, label in ((1, "good"), (2, "bad"))
        ],
    }  # fmt: skip
    assert labels_of(read_annotations(save(tmp_path, {"tasks": [task]}))) == ["good", "bad"]
    assert labels_of(read_annotations(save(tmp_path, [task]))) == ["good", "bad"]


words = st.text(st.characters(categories=("L", "Nd")), min_size=1, max_size=8).map(lambda word: f"t{word}")


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(words, min_size=2, max_size=6, unique=True),
    form=st.sampled_from(["lists", "pandas", "split", "rows"]),
)
def test_every_form_gives_the_records_back(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], form: str
) -> None:
    rows = [{"text": text, "label": "ab"[i % 2]} for i, text in enumerate(texts)]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    document: object = {
        "lists": columns,
        "pandas": {name: dict(enumerate(values)) for name, values in columns.items()},
        "split": {"columns": ["text", "label"], "data": [list(row.values()) for row in rows]},
        "rows": {"rows": rows},
    }[form]
    found = read_annotations(save(tmp_path_factory.mktemp("t"), document))
    assert found.table["text"].tolist() == texts
    assert labels_of(found) == [row["label"] for row in rows]


ARRAYS = [list(BY_COLUMN), *(list(record.values()) for record in RECORDS)]
PAGES = [{"results": RECORDS[:2], "next": "…/2"}, {"results": RECORDS[2:], "next": None}, {"results": []}]
SEVERAL = {
    "pages": ("data.json", json.dumps(PAGES), "taken from pages"),
    "pages in lines": ("data.jsonl", "\n".join(map(json.dumps, PAGES)), "taken from pages"),
    "arrays": ("data.json", json.dumps(ARRAYS), "first array names the columns"),
    "arrays in lines": ("data.jsonl", "\n".join(map(json.dumps, ARRAYS)), "first array names the columns"),
    "records in lines": (
        "data.jsonl",
        "\n\n".join(json.dumps([each]) for each in RECORDS),
        "arrays in 3 lines",
    ),
}


@pytest.mark.parametrize("form", SEVERAL)
def test_records_in_several_pages_or_arrays(tmp_path: Path, form: str) -> None:
    name, text, note = SEVERAL[form]
    path = tmp_path / name
    path.write_text(text)
    annotations = read_annotations(path)
    assert annotations.table[["text", "annotator_id", "label"]].to_dict("records") == RECORDS
    assert has_note(annotations, note)


def test_splits_in_an_envelope(tmp_path: Path) -> None:
    path = save(tmp_path, {"data": {"train": RECORDS[:2], "test": RECORDS[2:]}})
    assert list(read_annotations(path).table["split"]) == ["train", "train", "test"]


def test_arrays_without_names_are_refused_with_how_to_name_them(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_annotations(save(tmp_path, ARRAYS[1:]))
    assert "begin with an array of the columns' names" in str(caught.value)


def test_a_record_with_a_list_is_no_page(tmp_path: Path) -> None:
    path = save(tmp_path, [{**record, "responses": [{"n": 1}]} for record in RECORDS])
    assert list(read_annotations(path).table["label"]) == [record["label"] for record in RECORDS]
