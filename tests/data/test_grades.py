"""Votes by how much, in the words and signs that tools use."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import has_note, labels_of

from dcpc.data import Annotations
from dcpc.data.grades import vote
from dcpc.data.readers import read_annotations
from dcpc.errors import DataError
from dcpc.preference.pairs import vote_scale

FIVE = ["a-much-better", "a-slightly-better", "tie", "b-slightly-better", "b-much-better"]
WAYS = {
    "of the first": ["much better", "slightly better", "about the same", "slightly worse", "much worse"],
    "sentences": [
        "Response 1 is much better than Response 2", "Response 1 is slightly better than Response 2",
        "Both responses are about the same", "Response 2 is slightly better than Response 1",
        "Response 2 is much better than Response 1",
    ],
    "letters": ["A is much better", "A is a bit better", "Tie", "B is a bit better", "B is much better"],
    "dashes": ["a-is-clearly-better", "a-is-slightly-better", "tie", "b-is-slightly-better", "b-is-clearly-better"],
    "sides": ["left significantly better", "left somewhat better", "equally good", "right somewhat better",
              "right significantly better"],
    "numbered": ["1 - A is much better", "2 - A is slightly better", "3 - no preference", "4 - B is slightly better",
                 "5 - B is much better"],
    "preferring": ["strongly prefer A", "slightly prefer A", "neither", "slightly prefer B", "strongly prefer B"],
    "worse": ["B is far worse", "B is marginally worse", "equal", "A is marginally worse", "A is far worse"],
    "snake": ["model_a_much_better", "model_a_slightly_better", "both_bad", "model_b_slightly_better",
              "model_b_much_better"],
}  # fmt: skip


def read(folder: Path, given: list[str], name: str = "pairs.csv", **options: object) -> Annotations:
    rows = [
        {"text": f"q{n}", "response_a": f"x{n}", "response_b": f"y{n}", "annotator_id": "r", "label": label}
        for n, label in enumerate(given)
    ]
    pd.DataFrame(rows).to_csv(folder / name, index=False)
    return read_annotations(folder / name, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("way", WAYS)
def test_five_levels_are_one_scale_however_they_are_written(way: str, tmp_path: Path) -> None:
    found = read(tmp_path, WAYS[way])
    assert labels_of(found) == FIVE
    assert (list(found.labels), found.scale) == (FIVE, "ordinal")
    assert has_note(found, WAYS[way][0])
    assert vote_scale(found).sign == [1, 1, 0, -1, -1]


def test_the_signs_of_arena_judges(tmp_path: Path) -> None:
    found = read(
        tmp_path, ["A>>B", "[[A>B]]", "A=B", "B>A", "B>>A", "Assistant B is significantly better: [[B>>A]]"]
    )
    assert found.labels == ("a-much-better", "a-better", "tie", "b-better", "b-much-better")
    assert labels_of(found)[-1] == "b-much-better"


def test_a_grade_that_one_side_lacks_is_on_the_scale_too(tmp_path: Path) -> None:
    found = read(tmp_path, ["A is much better", "B is slightly better"])
    assert found.labels == ("a-much-better", "a-slightly-better", "b-slightly-better", "b-much-better")


def test_votes_of_one_grade_are_plain_ones(tmp_path: Path) -> None:
    found = read(tmp_path, ["A is better", "B is better", "They are about the same"])
    assert (labels_of(found), found.labels, found.scale) == (
        ["a", "b", "tie"],
        ("a", "b", "tie"),
        "preference",
    )


def test_other_data_of_the_same_adapter_are_read_on_its_scale(tmp_path: Path) -> None:
    found = read(tmp_path, ["A is much better", "tie"], scale="ordinal", labels=FIVE)
    assert labels_of(found) == ["a-much-better", "tie"]
    plain = read(tmp_path, ["B is better", "A is better"], scale="preference", labels=["a", "b", "tie"])
    assert labels_of(plain) == ["b", "a"]


@pytest.mark.parametrize(
    "label",
    ["harmful", "A", "better safe", "A and B", "response", "better and worse", "much", "1.5", "C is better"],
)
def test_other_words_are_no_graded_votes(label: str, tmp_path: Path) -> None:
    assert label == "A" or vote(label) is None
    with pytest.raises(DataError, match="preference labels"):
        read(tmp_path, [label, "something", "else"])


def test_declared_labels_and_exact_ones_stay_as_they_are(tmp_path: Path) -> None:
    declared = ["b is better", "same", "a is better"]
    found = read(tmp_path, declared, scale="ordinal", labels=declared)
    assert labels_of(found) == declared


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from([(way, level) for way in WAYS for level in range(5)]), min_size=2, max_size=9),
    st.sampled_from([str.upper, str.title, lambda label: f" {label} ", lambda label: f'"{label}"']),
)
def test_any_mixture_of_ways_means_the_same(picked: list[tuple[str, int]], change) -> None:  # type: ignore[no-untyped-def]
    labels = [
        *(change(WAYS[way][level]) for way, level in picked),
        "A is much better",
        "A is slightly better",
    ]
    with tempfile.TemporaryDirectory() as folder:
        found = read(Path(folder), labels)
    assert labels_of(found)[:-2] == [FIVE[level] for _, level in picked]
