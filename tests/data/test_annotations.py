"""The long table: indexes, counts and selections agree with the rows; scales are told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcpc.data.annotations import Annotations, item_texts
from dcpc.data.equality import fold_labels
from dcpc.data.readers import read_annotations
from dcpc.data.scales import as_text, format_number
from dcpc.errors import DataError, UsageError

TABLE = pd.DataFrame(
    {
        "item_id": ["x", "y", "x", "z"],
        "text": ["tx", "ty", "tx", "tz"],
        "annotator_id": ["b", "a", "a", None],
        "label": ["2", "1", "3", "2"],
        "split": ["train", "test", "train", "test"],
    }
)
ANNOTATIONS = Annotations(TABLE, ("1", "2", "3"), "ordinal")


def test_sizes() -> None:
    a = ANNOTATIONS
    assert (a.n_judgements, a.n_items, a.n_classes, len(a.annotators)) == (4, 3, 3, 2)


def test_codes_point_into_their_indexes() -> None:
    a = ANNOTATIONS
    assert list(a.item_ids[a.item_codes]) == list(TABLE["item_id"])
    assert list(a.annotators[a.annotator_codes[:3]]) == ["b", "a", "a"]
    assert a.annotator_codes[3] == -1
    assert [a.labels[code] for code in a.label_codes] == list(TABLE["label"])


def test_counts_and_soft_labels() -> None:
    np.testing.assert_array_equal(ANNOTATIONS.counts, [[0, 1, 1], [1, 0, 0], [0, 1, 0]])
    np.testing.assert_allclose(ANNOTATIONS.soft_labels.sum(axis=1), 1)


def test_items_have_one_row_each() -> None:
    assert list(ANNOTATIONS.items["item_id"]) == ["x", "y", "z"]
    assert list(ANNOTATIONS.items.columns) == ["item_id", "text", "split"]


def test_the_text_of_an_item_is_all_its_texts_in_order() -> None:
    assert item_texts(ANNOTATIONS.items) == ["tx", "ty", "tz"]
    table = TABLE.assign(response_b="worse", response_a="better")
    assert item_texts(Annotations(table, ("1", "2", "3")).items)[0] == "tx\nbetter\nworse"


def test_selections_keep_the_label_set() -> None:
    chosen = ANNOTATIONS.of_items(["x"])
    assert chosen.n_judgements == 2
    assert chosen.labels == ANNOTATIONS.labels
    assert ANNOTATIONS.where(np.array([3, 0])).table["item_id"].tolist() == ["z", "x"]
    assert ANNOTATIONS.where(np.array([False, True, False, False])).n_items == 1


def test_annotations_without_annotators() -> None:
    a = Annotations(TABLE.drop(columns="annotator_id"), ("1", "2", "3"))
    assert not a.has_annotators
    assert len(a.annotators) == 0
    assert (a.annotator_codes == -1).all()


def read(folder: Path, values: list[object], **options: object) -> Annotations:
    path = folder / "data.parquet"
    rows = {"text": [f"text {number}" for number in range(len(values))], "label": values}
    pd.DataFrame(rows).to_parquet(path)
    return read_annotations(path, **options)  # type: ignore[arg-type]


def read_preferences(folder: Path, labels: list[object], **columns: list[object]) -> Annotations:
    path = folder / "data.parquet"
    rows = {"text": [f"prompt {n}" for n in range(len(labels))], "response_a": "one", "response_b": "two"}
    pd.DataFrame({**rows, "label": labels, **columns}).to_parquet(path)
    return read_annotations(path)


def test_numbers_are_ordinal_and_sorted_by_value(tmp_path: Path) -> None:
    a = read(tmp_path, [10, 9, -1, 100])
    assert a.scale == "ordinal"
    assert a.labels == ("-1", "9", "10", "100")


def test_two_numbers_are_nominal(tmp_path: Path) -> None:
    assert read(tmp_path, [0, 1, 1]).scale == "nominal"


def test_words_are_nominal(tmp_path: Path) -> None:
    assert read(tmp_path, ["b", "a", "1"]).scale == "nominal"


def test_integers_that_pandas_made_floats_are_written_as_integers(tmp_path: Path) -> None:
    assert read(tmp_path, [1.0, 2.0, 3.5]).labels == ("1", "2", "3.5")


def test_truth_values_are_words(tmp_path: Path) -> None:
    assert read(tmp_path, [True, False]).labels == ("false", "true")


def test_numbers_written_differently_are_one_label(tmp_path: Path) -> None:
    assert read(tmp_path, ["1", "1.0", "02", " 2", "3"]).labels == ("1", "2", "3")


def test_a_scale_can_be_declared(tmp_path: Path) -> None:
    assert read(tmp_path, [1, 2, 3], scale="nominal").scale == "nominal"


def test_an_ordinal_scale_of_words_needs_its_order(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--labels"):
        read(tmp_path, ["low", "high", "middle"], scale="ordinal")
    a = read(tmp_path, ["low", "high", "middle"], scale="ordinal", labels=["low", "middle", "high"])
    assert a.labels == ("low", "middle", "high")


def test_declared_numbers_match_however_they_are_written(tmp_path: Path) -> None:
    assert read(tmp_path, [1.0, 2.0], labels=["1", "2.0", "3"]).labels == ("1", "2", "3")


def test_a_label_cannot_be_declared_twice(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="each once"):
        read(tmp_path, [1, 2], labels=["1", "1.0", "2"])


@pytest.mark.parametrize(
    "labels", [["a", "b", "tie"], [1, 2, 0], ["A1", "a2", "equal"], ["response_a", "right", "same"]]
)
def test_preference_labels_have_synonyms(tmp_path: Path, labels: list[object]) -> None:
    a = read_preferences(tmp_path, labels)
    assert a.scale == "preference"
    assert a.labels == ("a", "b", "tie")
    assert a.table["label"].tolist() == ["a", "b", "tie"]


def test_preference_labels_0_and_1_are_ambiguous(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="0 and 1"):
        read_preferences(tmp_path, [0, 1, 1])


def test_preferences_are_found_in_their_own_column(tmp_path: Path) -> None:
    a = read_preferences(tmp_path, [7, 3, 5], preference=["a", "b", "b"])
    assert a.table["label"].tolist() == ["a", "b", "b"]
    assert any('"preference"' in note for note in a.notes)


def test_the_label_column_wins_where_both_are_preferences(tmp_path: Path) -> None:
    a = read_preferences(tmp_path, [1, 2, 2], preference=["b", "a", "a"])
    assert a.table["label"].tolist() == ["a", "b", "b"]
    assert "preference" in a.table


def test_the_label_column_that_the_user_names_is_taken(tmp_path: Path) -> None:
    grades = ["a-is-better", "a-is-slightly-better", "tie", "b-is-slightly-better", "b-is-better"]
    read_preferences(tmp_path, grades, preference=["a", "a", "tie", "b", "b"])
    a = read_annotations(tmp_path / "data.parquet", columns={"label": "label"})
    assert a.scale == "ordinal"
    assert a.n_classes == len(grades)


def test_a_preference_without_responses_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="response_a"):
        read(tmp_path, ["a", "b"], scale="preference")


def test_other_labels_of_two_responses_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a, b and tie"):
        read_preferences(tmp_path, ["fancy", "plain"])


@given(st.lists(st.integers(-(10**6), 10**6), min_size=1))
def test_integers_and_equal_floats_get_the_same_labels(numbers: list[int]) -> None:
    integers, floats = (fold_labels(as_text(pd.Series(numbers, dtype=kind))).values for kind in (int, float))
    assert integers.tolist() == floats.tolist()
    assert integers.tolist() == [str(number) for number in numbers]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_formatted_number_is_the_same_number(number: float) -> None:
    assert float(format_number(number)) == number
