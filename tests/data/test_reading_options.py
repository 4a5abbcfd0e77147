"""What is equal in two spellings, what has structure, and which rows a user leaves out."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import has_note, labels_of

from dcpc.cli.options import parse_columns, parse_list
from dcpc.data.advice import columns_option, labels_option
from dcpc.data.equality import fold_ids, fold_labels, same_ids
from dcpc.data.readers import read_annotations, read_item_rows
from dcpc.data.structure import parsed
from dcpc.errors import DataError, UsageError


def table(folder: Path, rows: list[dict[str, object]], name: str = "table.jsonl") -> Path:
    path = folder / name
    if name.endswith(".csv"):
        pd.DataFrame(rows).to_csv(path, index=False)
    elif name.endswith(".parquet"):
        pd.DataFrame(rows).to_parquet(path)
    else:
        path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def judgements(folder: Path, labels: list[object], name: str = "table.jsonl") -> Path:
    return table(folder, [{"text": f"item {i}", "label": label} for i, label in enumerate(labels)], name)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["01", "1.0", "2"], ["1", "1", "2"]),
        (["TRUE", "false", "1"], ["true", "false", "true"]),
        (["cafe\u0301", "caf\u00e9", "x"], ["caf\u00e9", "caf\u00e9", "x"]),
        (["b;a", "a;b", "c"], ["a;b", "a;b", "c"]),
        ([" yes", "yes\u200b", "no"], ["yes", "yes", "no"]),
        (["9007199254740993", "9007199254740992", "1"], ["9007199254740993", "9007199254740992", "1"]),
        (["1e400", "1e401", "0"], ["1E+400", "1E+401", "0"]),
        (["1.0", "1", "intro"], ["1.0", "1", "intro"]),
    ],
)
def test_spellings_of_one_label_are_one(tmp_path: Path, labels: list[object], expected: list[str]) -> None:
    assert labels_of(read_annotations(judgements(tmp_path, labels), scale="nominal")) == expected


def test_exact_folds_nothing(tmp_path: Path) -> None:
    path = judgements(tmp_path, ["01", "1.0", " 2"])
    assert labels_of(read_annotations(path, exact=True, scale="nominal")) == ["01", "1.0", " 2"]
    assert has_note(read_annotations(path), '3 labels written in another way: "01" as "1"')


@pytest.mark.parametrize(
    ("declared", "found"),
    [(["false", "true"], ["False", "TRUE"]), (["0", "1"], ["False", "True"]), (["1.5", "2"], ["1.50", "2.0"]),
     (["a,b", "c"], ["b,a", "c"])],
)  # fmt: skip
def test_labels_are_matched_to_those_declared(
    tmp_path: Path, declared: list[str], found: list[object]
) -> None:
    annotations = read_annotations(judgements(tmp_path, found), labels=declared)
    assert labels_of(annotations) == declared


@given(st.lists(st.integers(-(10**30), 10**30), min_size=1, unique=True))
def test_whole_numbers_are_one_id_however_they_are_written(numbers: list[int]) -> None:
    written = [f"{'-' if n < 0 else ''}0{abs(n)}.0" for n in numbers]
    assert fold_ids(pd.Series(written, dtype="str")).values.tolist() == [str(n) for n in numbers]


@given(st.lists(st.text(max_size=6), min_size=1))
def test_folding_twice_is_folding_once(labels: list[str]) -> None:
    series = pd.Series([label if label.strip() else None for label in labels], dtype="str")
    once = fold_labels(series).values
    assert fold_labels(once).values.equals(once)


def test_annotators_of_two_files_are_matched() -> None:
    assert same_ids(["1.0", "anna", "7"], ["01", "anna"]) == {"1.0": "01"}


def test_texts_that_differ_in_line_ends_are_one_item(tmp_path: Path) -> None:
    rows = [{"item_id": 1, "text": "a\r\nb", "label": "x"}, {"item_id": 1, "text": "a\nb ", "label": "y"}]
    annotations = read_annotations(table(tmp_path, rows))
    assert annotations.table["text"].tolist() == ["a\r\nb"] * 2
    with pytest.raises(DataError, match="another text"):
        read_annotations(table(tmp_path, rows), exact=True)


@pytest.mark.parametrize(
    "cell", ['["b", "a"]', "['b', 'a']", "['a' 'b']", '{"choices": ["a", "b"]}', "array(['a', 'b'])"]
)
def test_cells_with_several_choices_are_combined(tmp_path: Path, cell: str) -> None:
    annotations = read_annotations(judgements(tmp_path, [cell, "c"], "table.csv"))
    assert labels_of(annotations) == ["a,b", "c"]
    assert has_note(annotations, "1 judgement with several labels")


def test_arrays_of_parquet_are_lists(tmp_path: Path) -> None:
    path = judgements(tmp_path, [np.array(["y", "x"]), np.array(["z"])], "table.parquet")
    assert labels_of(read_annotations(path)) == ["x,y", "z"]


def test_one_answer_inside_an_object_is_the_label(tmp_path: Path) -> None:
    cells = ['[{"tone": {"label": "rude"}}]', '[{"tone": {"label": "kind"}}]']
    assert labels_of(read_annotations(judgements(tmp_path, cells, "table.csv"))) == ["rude", "kind"]


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ('[{"start": 0, "end": 4, "text": "item"}]', "spans"),
        ('[["a", "b"], ["c"]]', "ranking"),
        ('{"q1": "a", "q2": "b"}', 'keys "q1", "q2"'),
    ],
)
def test_other_structure_is_refused_by_name_row_and_column(tmp_path: Path, cell: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        read_annotations(judgements(tmp_path, ["a", cell], "table.csv"))
    assert said in caught.value.what
    assert 'row 3, column "label"' in str(caught.value.where)


def test_words_in_brackets_are_words(tmp_path: Path) -> None:
    assert read_annotations(judgements(tmp_path, ["[unclear]", "[sic]"])).labels == ("[sic]", "[unclear]")


@given(st.lists(st.text("ab'\" ,\\", max_size=5), max_size=4))
def test_what_python_and_json_print_of_a_list_is_that_list(values: list[str]) -> None:
    assert parsed(json.dumps(values)) == values
    assert parsed(str(["x", *values])) == ["x", *values]


REPEATED = [
    {"item_id": 1, "text": "one", "annotator_id": "a", "label": "x", "created_at": "2024-03-02"},
    {"item_id": 1, "text": "one", "annotator_id": "a", "label": "y", "created_at": "2024-03-01"},
    {"item_id": 2, "text": "two", "annotator_id": "a", "label": "y", "created_at": "2024-03-01"},
]


@pytest.mark.parametrize(
    ("repeats", "kept"), [("latest", ["x", "y"]), ("first", ["y", "y"]), ("all", ["x", "y", "y"])]
)
def test_repeated_judgements(tmp_path: Path, repeats: str, kept: list[str]) -> None:
    annotations = read_annotations(table(tmp_path, REPEATED), repeats=repeats, labels=["x", "y"])  # type: ignore[arg-type]
    assert labels_of(annotations) == kept
    assert has_note(annotations, 'by the column "created_at"') == (repeats != "all")


def test_equal_repetitions_are_kept_once(tmp_path: Path) -> None:
    rows = [*REPEATED[1:], REPEATED[1], {**REPEATED[2], "annotator_id": "b", "label": "x"}]
    assert has_note(read_annotations(table(tmp_path, rows)), "they say the same")


WORKERS = [
    {
        "text": "one",
        "label": "x",
        "AssignmentStatus": "Approved",
        "_golden": "false",
        "_trust": 0.9,
        "my age": 30,
    },
    {
        "text": "two",
        "label": "y",
        "AssignmentStatus": "Rejected",
        "_golden": "false",
        "_trust": 0.8,
        "my age": 20,
    },
    {
        "text": "three",
        "label": "y",
        "AssignmentStatus": "Approved",
        "_golden": "true",
        "_trust": 0.4,
        "my age": 40,
    },
]


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"leave_out": ["rejected"]}, ["one", "three"]),
        ({"leave_out": ["golden"]}, ["one", "two"]),
        ({"min_trust": 0.5}, ["one", "two"]),
        ({"where": "`my age` >= 30 and not AssignmentStatus == 'Rejected'"}, ["one", "three"]),
        ({"where": "20 < `my age` <= 40 or text in ('two',)"}, ["one", "two", "three"]),
        ({"where": "_golden == false"}, ["one", "two"]),
    ],
)
def test_rows_that_are_left_out(tmp_path: Path, options: dict, left: list[str]) -> None:
    path = table(tmp_path, WORKERS, "table.csv")
    annotations = read_annotations(path, labels=["x", "y"], **options)
    assert annotations.table["text"].tolist() == left
    assert list(read_item_rows(path, **options).items["text"]) == left


def test_marked_rows_that_stay_are_noted_with_the_option(tmp_path: Path) -> None:
    assert has_note(read_annotations(table(tmp_path, WORKERS, "table.csv")), "--leave-out rejected")


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true')",
        "text.str",
        "nope == 1",
        "text",
        "(",
        "text == label",
        "text + 1 == 2",
    ],
)
def test_an_expression_that_is_no_comparison_of_a_column_is_refused(tmp_path: Path, expression: str) -> None:
    with pytest.raises(UsageError):
        read_annotations(table(tmp_path, WORKERS, "table.csv"), where=expression)


def test_labels_that_are_no_judgement(tmp_path: Path) -> None:
    path = judgements(tmp_path, ["1", "2", "IDK", "3"])
    annotations = read_annotations(path, ignore_labels=["idk"])
    assert annotations.scale == "ordinal"
    assert has_note(annotations, '"idk" (1 judgement)')
    assert has_note(read_annotations(path), "--ignore-labels IDK")
    with pytest.raises(UsageError, match="skip"):
        read_annotations(path, ignore_labels=["skip"])


def test_blank_texts_are_skipped_on_request(tmp_path: Path) -> None:
    path = table(tmp_path, [{"text": "a", "label": 1}, {"text": " ", "label": 2}, {"text": "b", "label": 2}])
    assert has_note(read_annotations(path, skip_blank=True), "1 row with a blank text")
    assert read_item_rows(path, skip_blank=True).places.tolist() == [1, 3]
    with pytest.raises(DataError, match="empty"):
        read_annotations(path)


def test_a_range_knows_the_values_that_nobody_chose(tmp_path: Path) -> None:
    annotations = read_annotations(judgements(tmp_path, [3, 90, 90]), range=(0, 100))
    assert annotations.labels == tuple(str(step) for step in range(101))
    assert (annotations.scale, annotations.range) == ("ordinal", (0, 100))
    rounded = read_annotations(judgements(tmp_path, [0.123, 1, 0]), range=(0, 1))
    assert labels_of(rounded) == ["0.12", "1", "0"]
    assert has_note(rounded, "1 value rounded")
    with pytest.raises(DataError, match="outside"):
        read_annotations(judgements(tmp_path, [1, 101]), range=(0, 100))


def test_many_numbers_are_told_how_to_be_a_slider(tmp_path: Path) -> None:
    path = judgements(tmp_path, [value / 7 for value in range(150)])
    with pytest.raises(DataError, match="--range 0 100"):
        read_annotations(path)
    assert read_annotations(path, range=(0, 100)).n_classes == 101
    assert has_note(read_annotations(judgements(tmp_path, range(-40, 60, 2))), "--range -100 100")


def test_a_misspelt_annotator_of_a_wide_table_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path, [{"text": "one", "anna": "x", "cora": "y"}], "table.csv")
    with pytest.raises(DataError, match='Did you mean "cora"'):
        read_annotations(path, columns={"annotators": "anna|kora"})


def test_a_key_that_comes_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"text": "a", "label": 1, "label": 2}]')
    with pytest.raises(DataError, match='"label" comes twice'):
        read_annotations(tmp_path / "a.json")


def test_truth_values_and_numbers_of_two_files_stay_what_they_are(tmp_path: Path) -> None:
    judgements(tmp_path, [True, False], "a.parquet")
    judgements(tmp_path, [1, 0], "b.parquet")
    assert read_annotations(tmp_path).labels == ("false", "true")


@given(st.text(min_size=1).filter(lambda name: name == name.strip() and "=" not in name))
def test_a_column_that_is_proposed_can_be_typed(name: str) -> None:
    typed = shlex.split(columns_option({"text": name, "label": "y"}))
    assert parse_columns(typed[1]) == {"text": name, "label": "y"}


@given(
    st.lists(st.text(min_size=1).filter(lambda word: word == word.strip() and "\0" not in word), min_size=2)
)
def test_labels_that_are_proposed_can_be_typed(labels: list[str]) -> None:
    assert parse_list(shlex.split(labels_option(labels))[1]) == labels


@pytest.mark.parametrize(
    ("rows", "proposed"),
    [
        ([{"id": 1, "threat": 0, "remark": "a long enough text", "label": 1}], "--columns text=remark"),
        ([{"HINT:text": None, "INPUT:text": "some words here", "label": 1}], "text=INPUT:text"),
        ([{"id": 59, "threat": 0, "label": 1}], "No column holds texts"),
    ],
)
def test_the_column_that_is_proposed_has_fitting_content(tmp_path: Path, rows: list, proposed: str) -> None:
    with pytest.raises(DataError) as caught:
        read_annotations(table(tmp_path, rows * 2, "table.csv"))
    assert proposed in str(caught.value.fix)


def test_columns_that_look_like_annotators_are_asked_for(tmp_path: Path) -> None:
    rows = [{"text": f"t{i}", "label": i % 2, "rater_id": i % 3} for i in range(12)]
    assert has_note(read_annotations(table(tmp_path, rows)), "--columns annotator_id=rater_id")


def test_columns_of_one_label_each_are_labels_and_no_annotators(tmp_path: Path) -> None:
    moods = ("calm", "cross", "glad", "sad")
    rows = [
        {"text": f"t{i}", "rater_id": i % 3, **{mood: int(i % 4 == k) for k, mood in enumerate(moods)}}
        for i in range(12)
    ]
    found = read_annotations(table(tmp_path, rows, "table.csv"))
    assert found.annotators.tolist() == ["0", "1", "2"]
    assert labels_of(found) == [moods[i % 4] for i in range(12)]
    assert has_note(found, '4 columns of 0 and 1, "calm", "cross", "glad", "sad"')


def test_lists_of_several_choices_in_a_wide_table_are_combined(tmp_path: Path) -> None:
    rows = [{"text": f"t{i}", "rater_1": ["b", "a"], "rater_2": ["c"]} for i in range(3)]
    assert set(labels_of(read_annotations(table(tmp_path, rows, "table.parquet")))) == {"a,b", "c"}
