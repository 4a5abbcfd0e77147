"""What a tool's export may hold besides plain labels: drafts, ignored tasks, several questions, responses."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from export_formats import EXPORTS, Judgement

from dcpc.data import Annotations
from dcpc.data.readers import doccano as doccano_reader
from dcpc.data.readers import read_annotations
from dcpc.data.writers import write_argilla, write_crowdkit, write_long
from dcpc.errors import DataError, UsageError

ROWS = [Judgement("1", "one", "1", "yes"), Judgement("1", "one", "2", "no"), Judgement("2", "two", "1", "no")]


def save(folder: Path, records: object, name: str = "export.json") -> Path:
    path = folder / name
    if name.endswith(".jsonl"):
        path.write_text("\n".join(json.dumps(record) for record in records))  # type: ignore[attr-defined]
    else:
        path.write_text(json.dumps(records))
    return path


def labels_of(annotations: Annotations) -> list[str]:
    return annotations.table["label"].tolist()


def has_note(annotations: Annotations, part: str) -> bool:
    return any(part in note for note in annotations.notes)


def task(result: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"completed_by": 1, "result": result, "was_cancelled": False, **more}


def choice(value: str, control: str = "verdict") -> dict[str, Any]:
    return {"from_name": control, "to_name": "text", "type": "choices", "value": {"choices": [value]}}


# --- Label Studio


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


# --- Prodigy


def prodigy(answer: str = "accept", **more: Any) -> dict[str, Any]:
    return {
        "text": "one",
        "_input_hash": 1,
        "_task_hash": 2,
        "answer": answer,
        "_session_id": "s-ann",
        **more,
    }


def test_prodigy_leaves_out_and_counts_ignored_and_rejected_choices(tmp_path: Path) -> None:
    tasks = [
        prodigy(accept=["yes"]),
        prodigy(accept=["no"], _session_id="s-bob"),
        prodigy("ignore", accept=[], _session_id="s-eve"),
        prodigy("reject", accept=["no"], _session_id="s-joe"),
        prodigy(accept=[], _session_id="s-kim"),
    ]
    found = read_annotations(save(tmp_path, tasks, "export.jsonl"))
    assert labels_of(found) == ["yes", "no"]
    assert list(found.annotators) == ["s-ann", "s-bob"]
    for note in ("1 task (ignored)", "1 choice (rejected)", "1 judgement without an answer"):
        assert has_note(found, note)


def test_prodigy_binary_tasks_are_labelled_by_their_answer(tmp_path: Path) -> None:
    tasks = [prodigy(label="RUDE"), prodigy("reject", label="RUDE", _session_id="s-bob")]
    assert labels_of(read_annotations(save(tmp_path, tasks, "export.jsonl"))) == ["accept", "reject"]


def test_prodigy_binary_tasks_of_two_labels_are_two_questions(tmp_path: Path) -> None:
    tasks = [prodigy(label="RUDE"), prodigy("reject", label="KIND", _session_id="s-bob")]
    with pytest.raises(DataError, match='"RUDE", "KIND"'):
        read_annotations(save(tmp_path, tasks, "export.jsonl"))


def test_several_accepted_options_become_one_combined_label(tmp_path: Path) -> None:
    tasks = [prodigy(accept=["b", "a"]), prodigy(accept=["a"], _session_id="s-bob")]
    found = read_annotations(save(tmp_path, tasks, "export.jsonl"))
    assert labels_of(found) == ["a,b", "a"]
    assert has_note(found, "1 judgement with several labels")


# --- Argilla


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


# --- Doccano


def doccano_zip(folder: Path, members: dict[str, str]) -> Path:
    path = folder / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def entry(**more: Any) -> str:
    return json.dumps({"id": 1, "text": "one", "label": ["yes"], **more}) + "\n"


def test_doccano_files_without_an_annotator(tmp_path: Path) -> None:
    members = {"all.jsonl": entry() + entry(id=2, label=["no"]), "ann.jsonl": entry(label=["no"])}
    found = read_annotations(doccano_zip(tmp_path, members))
    assert found.table["annotator_id"].isna().tolist() == [True, True, False]


def test_doccano_entries_without_a_label_are_counted(tmp_path: Path) -> None:
    members = {"ann.jsonl": entry() + entry(id=2, label=[]), "bob.jsonl": entry(label=["no"])}
    found = read_annotations(doccano_zip(tmp_path, members))
    assert found.n_judgements == 2
    assert has_note(found, "1 entry without a label")


def test_doccano_csv_and_the_older_name_of_the_text(tmp_path: Path) -> None:
    members = {"ann.csv": "id,data,label\n1,one,yes\n", "bob.csv": "id,data,label\n1,one,no\n"}
    assert labels_of(read_annotations(doccano_zip(tmp_path, members))) == ["yes", "no"]


@pytest.mark.parametrize(
    "name", ["../ann.jsonl", "/etc/ann.jsonl", "a/../../ann.jsonl", "..\\ann.jsonl", "C:\\ann.jsonl"]
)
def test_a_zip_member_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="leads out of the zip"):
        read_annotations(doccano_zip(tmp_path, {name: entry()}))


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="zip bomb"):
        read_annotations(doccano_zip(tmp_path, {"ann.jsonl": "0" * (20 << 20)}))


def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doccano_reader, "MOST_BYTES", 100)
    with pytest.raises(DataError, match="unpacks to more"):
        read_annotations(doccano_zip(tmp_path, {"ann.jsonl": entry() * 10}))


@pytest.mark.parametrize(
    "members", [{}, {"ann.jsonl": "", "photo.png": ""}, {"inner.zip": ""}, {"a.csv": "", "b.json": ""}]
)
def test_a_zip_of_something_else_is_refused(tmp_path: Path, members: dict[str, str]) -> None:
    with pytest.raises(DataError, match=r"export\.zip"):
        read_annotations(doccano_zip(tmp_path, members))


def test_a_damaged_zip_member(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ann.jsonl", entry())
    path.write_bytes(path.read_bytes().replace(b'"yes"', b'"YES"', 1))
    with pytest.raises(DataError, match="malformed zip"):
        read_annotations(path)


def test_malformed_json_in_a_zip_names_member_and_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ann\.jsonl, line 2"):
        read_annotations(doccano_zip(tmp_path, {"ann.jsonl": entry() + '{"id": \n'}))


def test_doccano_spans_are_not_labels(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="spans"):
        read_annotations(doccano_zip(tmp_path, {"ann.jsonl": entry(label=[[0, 3, "X"]])}))


# --- Ground Truth


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


# --- LeWiDi


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


# --- Tables


def test_wide_tables_leave_out_empty_cells(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text("text,rater_1,rater_2,topic\none,yes,no,x\ntwo,no,,y\nthree,,,z\n")
    found = read_annotations(path)
    assert labels_of(found) == ["yes", "no", "no"]
    assert found.table["topic"].tolist() == ["x", "x", "y"]
    assert has_note(found, "1 item without annotations")
    assert has_note(found, '2 annotator columns: "rater_1", "rater_2"')


def test_several_label_columns_of_a_long_table_are_not_annotators(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("text,annotator_id,label_rude,label_kind\none,a,0,1\ntwo,a,1,0\n")
    with pytest.raises(DataError, match="label=label_rude"):
        read_annotations(path)
    path.write_text("text,worker_id,user_name,rater_age\none,a,b,30\ntwo,a,b,30\n")
    with pytest.raises(DataError, match='no column "label"'):
        read_annotations(path)


def test_wide_columns_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text("text,anna,bert,age\none,yes,no,3\n")
    found = read_annotations(path, columns={"annotators": "anna|ber*"})
    assert list(found.annotators) == ["anna", "bert"]


def test_columns_about_annotators_are_not_annotators(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("text,rating,user_country,user_language\none,1,de,de\ntwo,2,fr,fr\n")
    with pytest.raises(DataError, match="label=rating"):
        read_annotations(path)


def test_numbered_columns_beside_a_likely_label_are_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "both.csv"
    path.write_text("text,score,rater_1,rater_2\none,7,yes,no\ntwo,9,no,no\n")
    with pytest.raises(DataError, match=r"label=score, or, .*annotators='rater_1\|rater_2'"):
        read_annotations(path)
    assert list(read_annotations(path, columns={"annotators": "Rater_*"}).annotators) == [
        "rater_1",
        "rater_2",
    ]


def test_numbered_columns_without_a_common_label_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    rows = "".join(f"text {i},{'yes' if i % 2 else 'no'},{'de' if i % 2 else 'fr'}\n" for i in range(20))
    path.write_text("text,label_1,label_2\n" + rows)
    with pytest.raises(DataError, match="no label in common"):
        read_annotations(path)


@pytest.mark.parametrize(
    "names", ["annotator_1,annotator_2", "user3,user4", "Label_w7,label_w8", "rater a,rater b"]
)
def test_columns_that_share_a_prefix_and_end_in_an_id_are_annotators(tmp_path: Path, names: str) -> None:
    path = tmp_path / "wide.csv"
    path.write_text(f"text,{names}\none,yes,no\ntwo,no,no\n")
    assert list(read_annotations(path).annotators) == names.split(",")


@pytest.mark.parametrize("names", ["anna,bert", "label_anna,label_bert", "labels,users"])
def test_annotators_under_other_names_are_hinted_at(tmp_path: Path, names: str) -> None:
    path = tmp_path / "wide.csv"
    path.write_text(f"text,{names},topic\none,yes,no,x\ntwo,no,NA,y\n")
    option = f"annotators='{names.replace(',', '|')}'"
    with pytest.raises(DataError, match=re.escape(option)):
        read_annotations(path)
    assert len(read_annotations(path, columns={"annotators": names.replace(",", "|")}).annotators) == 2


def test_a_wide_table_without_texts_is_told_with_its_own_columns(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text("comment,rater_1,rater_2\none,yes,no\n")
    with pytest.raises(DataError, match='found: "comment", "rater_1", "rater_2"'):
        read_annotations(path)


def test_words_for_a_missing_label_are_not_labels_of_a_wide_table(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text("text,rater_1,rater_2\none,1,NA\ntwo,2,3\nthree,nan,N/A\n")
    found = read_annotations(path)
    assert found.labels == ("1", "2", "3")
    assert found.scale == "ordinal"
    assert has_note(found, 'Taken as not labelled: "NA" (1 cell), "N/A" (1 cell), "nan" (1 cell)')
    assert has_note(found, "1 item without annotations")


def test_wide_labels_that_are_numbers_stay_integers(tmp_path: Path) -> None:
    path = tmp_path / "wide.parquet"
    pd.DataFrame({"text": ["a", "b"], "rater_1": [1, None], "rater_2": [2, 3]}).to_parquet(path)
    assert read_annotations(path).labels == ("1", "2", "3")


def test_semicolons_separate_too(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("text;label\na, b;yes\nc;no\n")
    assert read_annotations(path).items["text"].tolist() == ["a, b", "c"]


def test_the_content_decides_not_the_suffix(tmp_path: Path) -> None:
    for name, (_, write) in EXPORTS.items():
        if name != "hugging face":
            path = write(ROWS, tmp_path).rename(tmp_path / "export.data")
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


# --- Writers


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
