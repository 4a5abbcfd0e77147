"""Sets as their authors publish them, each after its own schema: LeWiDi, HelpSteer, HateXplain; Potato's states."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from reading import has_note, labels_of, save

from dcpc.data.readers import read_annotations
from dcpc.data.readers.detect import detect_format
from dcpc.errors import DataError


def test_helpsteer2_gives_every_preference_and_not_the_choice_of_three(tmp_path: Path) -> None:
    def judged(*strengths: int) -> list[dict[str, Any]]:
        return [{"strength": s, "statement": "Response 1 is better", "elaboration": "e"} for s in strengths]

    records = [
        {
            "split": "train",
            "prompt": f"p{n}",
            "response_1": "x",
            "response_2": "y",
            "preference_strength": -2,
            "preference_statement": "s",
            "preference_elaboration": "e",
            "three_most_similar_preferences": judged(-2, -2, -1),
            "all_preferences_unprocessed": judged(-2, -2, -1, 3),
        }
        for n in range(2)
    ]
    found = read_annotations(save(tmp_path, records, "preference.jsonl"))
    assert labels_of(found) == ["-2", "-2", "-1", "3"] * 2
    assert (found.scale, found.labels) == ("ordinal", ("-2", "-1", "3"))
    assert found.items.loc[0, ["text", "response_a", "response_b"]].tolist() == ["p0", "x", "y"]


def test_helpsteer2_disagreements_are_judgements_and_no_combined_label(tmp_path: Path) -> None:
    records = [
        {"prompt": "p", "response": "r", "helpfulness": [4, 3, 4], "correctness": [4, 4, 4]},
        {"prompt": "q", "response": "s", "helpfulness": [0, 1, 2], "correctness": [1, 1, 0]},
    ]
    path = save(tmp_path, records, "disagreements.jsonl")
    found = read_annotations(
        path, columns={"text": "prompt", "text_pair": "response", "label": "helpfulness"}
    )
    assert labels_of(found) == ["4", "3", "4", "0", "1", "2"]
    assert has_note(found, "several people")
    assert (found.n_items, found.scale) == (2, "ordinal")


def test_several_labels_of_one_person_stay_one_combined_label(tmp_path: Path) -> None:
    records = [
        {"text": "t", "annotator_id": "x", "label": ["joy", "anger"]},
        {"text": "t", "annotator_id": "y", "label": ["joy"]},
    ]
    assert labels_of(read_annotations(save(tmp_path, records, "l.jsonl"))) == ["anger,joy", "joy"]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_hatexplain_as_the_hub_has_it(tmp_path: Path, kind: str) -> None:
    records = [
        {
            "id": "24198545_gab",
            "annotators": {"label": [0, 2, 1], "annotator_id": [1, 2, 3], "target": [["None"], ["A"], ["B"]]},
            "rationales": [[0, 1], [1, 1]],
            "post_tokens": ["two", "words"],
        }
    ]
    path = tmp_path / f"hatexplain.{kind}"
    if kind == "parquet":
        pd.DataFrame(records).to_parquet(path)
    else:
        save(tmp_path, records, path.name)
    assert detect_format(str(path), {}) == "nested"
    found = read_annotations(path)
    assert found.items.loc[0, "text"] == "two words"
    assert list(zip(found.table["annotator_id"], labels_of(found), strict=True)) == [
        ("1", "0"),
        ("2", "2"),
        ("3", "1"),
    ]


def test_hatexplain_as_its_repository_has_it(tmp_path: Path) -> None:
    post = {
        "post_id": "1",
        "annotators": [
            {"label": "normal", "annotator_id": 1, "target": ["None"]},
            {"label": "offensive", "annotator_id": 2, "target": ["A"]},
        ],
        "rationales": [],
        "post_tokens": ["two", "words"],
    }
    found = read_annotations(save(tmp_path, {"1": post, "2": {**post, "post_id": "2", "post_tokens": ["x"]}}))
    assert labels_of(found) == ["normal", "offensive"] * 2


COMMON = {"annotation task": "t", "number of annotations": 2, "lang": "en", "split": "train"}


@pytest.mark.parametrize(
    ("entry", "labels", "texts"),
    [
        # 2021: lists.
        ({"text": "a", "annotations": ["1", "0"], "annotators": ["A", "B"], "hard_label": "1"}, ["1", "0"], ["a"]),
        # 2023: HS-Brexit, ArMIS, MD-Agreement.
        (
            {
                "text": "a", "annotations": "1,0", "annotators": "A,B", "hard_label": "1",
                "soft_label": {"0": 0.5, "1": 0.5}, "other_info": {"domain": "x"}, **COMMON,
            },
            ["1", "0"], ["a"],
        ),
        # 2023: ConvAbuse, whose text is a dialogue.
        (
            {
                "text": {"prev_agent": "p", "prev_user": "q", "agent": "r", "user": "s"}, "annotations": "-1,0",
                "annotators": "A,B", "hard_label": "", "soft_label": {"0": 0.5, "1": 0.5}, **COMMON,
            },
            ["-1", "0"], ["prev_agent: p\nprev_user: q\nagent: r\nuser: s"],
        ),
        # 2025: CSC, MP and Par, by annotator.
        (
            {
                "text": {"context": "c", "response": "r"}, "annotators": "A,B", "annotations": {"A": "4", "B": "1"},
                "soft_label": {"1": 0.5, "4": 0.5}, "other_info": {}, "number of annotators": 2, **COMMON,
            },
            ["4", "1"], ["c", "r"],
        ),
        # 2025: VariErrNLI, several labels of one annotator.
        (
            {
                "text": {"context": "c", "statement": "s"}, "annotators": "A,B", "soft_label": {},
                "annotations": {"A": "neutral,contradiction", "B": "neutral"}, "other_info": {}, **COMMON,
            },
            ["contradiction,neutral", "neutral"], ["c", "s"],
        ),
    ],
    ids=["2021", "2023", "2023 ConvAbuse", "2025", "2025 VariErrNLI"],
)  # fmt: skip
def test_lewidi_of_each_year(
    tmp_path: Path, entry: dict[str, Any], labels: list[str], texts: list[str]
) -> None:
    path = save(tmp_path, {"7": entry})
    assert detect_format(str(path), {}) == "lewidi"
    found = read_annotations(path)
    assert labels_of(found) == labels
    assert found.table["annotator_id"].tolist() == ["A", "B"]
    assert [found.items.iloc[0][name] for name in ("text", "text_pair") if name in found.items] == texts


def project(folder: Path, answers: object, config: str = "data_files: [data.jsonl]\n") -> Path:
    own = folder / "annotation_output" / "anna"
    own.mkdir(parents=True)
    (own / "user_state.json").write_text(
        json.dumps({"user_id": "anna", "instance_id_to_label_to_value": answers, "assigned": ["1"]})
    )
    (folder / "data.jsonl").write_text('{"id": "1", "text": "one"}\n{"id": "2", "text": "two"}\n')
    (folder / "config.yaml").write_text(config)
    return folder


@pytest.mark.parametrize(
    "answers",
    [
        {"1": [[{"schema": "mood", "name": "good"}, True]], "2": [[{"schema": "mood", "name": "bad"}, "bad"]]},
        {"1": {"mood": {"good": "true", "bad": "false"}}, "2": {"mood": {"bad": "true"}}},
        {"1": [[{"schema": "mood", "name": "good"}, False], [{"schema": "mood", "name": "good"}, True]],
         "2": [[{"schema": "mood", "name": "bad"}, True]]},
    ],
)  # fmt: skip
def test_potato_states_take_their_texts_from_the_project(tmp_path: Path, answers: object) -> None:
    folder = project(tmp_path, answers)
    for source in (
        folder,
        folder / "annotation_output",
        folder / "annotation_output" / "anna" / "user_state.json",
    ):
        assert detect_format(str(source), {}) == "potato"
        found = read_annotations(source)
        assert found.table[["text", "annotator_id", "label"]].to_numpy().tolist() == [
            ["one", "anna", "good"],
            ["two", "anna", "bad"],
        ]


def test_potato_states_without_their_project_say_what_to_name(tmp_path: Path) -> None:
    answers = {"1": {"mood": {"good": "true"}}, "9": {"mood": {"bad": "true"}}}
    folder = project(tmp_path, answers)
    with pytest.raises(DataError, match='no instance "9"'):
        read_annotations(folder)
    (folder / "config.yaml").unlink()
    with pytest.raises(DataError, match="without the texts") as error:
        read_annotations(folder)
    assert "config.yaml" in (error.value.fix or "")


def test_likert_scales_of_potato_tables_are_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "user,instance_id,displayed_text,agree:::scale_1,agree:::scale_2\nx,1,t,1,\ny,1,t,,2\n"
    )
    assert labels_of(read_annotations(tmp_path / "a.csv")) == ["1", "2"]
