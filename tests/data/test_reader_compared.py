"""Votes written as scores, ranks, rankings or signs, and the prompts that they are about."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import has_note, labels_of, save

from dcpc.data import Annotations
from dcpc.data.readers import read_annotations, read_items
from dcpc.errors import DataError, UsageError


def table(folder: Path, text: str) -> Path:
    path = folder / "votes.csv"
    path.write_text(text)
    return path


def votes(found: Annotations) -> set[tuple[str, ...]]:
    names = ["text", "annotator_id", "response_a", "response_b", "label"]
    return set(found.table[names].itertuples(index=False, name=None))


SCORES = (
    "text,response_a,response_b,score_a,score_b,annotator_id\n"
    "q1,x,y,4,2,ann\nq1,x,y,3,3,bob\nq2,v,w,1,5,ann\nq2,v,w,,5,bob\n"
)


def test_the_higher_score_wins_and_equal_ones_are_a_tie(tmp_path: Path) -> None:
    found = read_annotations(table(tmp_path, SCORES))
    assert (found.scale, found.labels) == ("preference", ("a", "b", "tie"))
    assert labels_of(found) == ["a", "tie", "b"]
    assert has_note(found, "1 for a, 1 for b, 1 tie")
    assert has_note(found, "Skipped: 1 row")
    assert "score_a" in found.table, "kept as an attribute"


def test_scores_beside_a_vote_are_not_asked(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "text,response_a,response_b,score_a,score_b,label\nq1,x,y,4,2,b\nq2,x,y,4,2,a\n",
    )
    assert labels_of(read_annotations(path)) == ["b", "a"]


def test_scores_of_responses_that_the_user_names(tmp_path: Path) -> None:
    path = table(tmp_path, "text,response_1,response_2,score_1,score_2\nq1,x,y,4,2\nq2,x,y,0,2\n")
    columns = {"response_a": "response_1", "response_b": "response_2"}
    for given_columns in (columns, {}):
        assert labels_of(read_annotations(path, columns=given_columns)) == ["a", "b"]


def test_a_score_that_is_no_number_is_refused_by_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match='row 3, column "score_b": "high" is no number'):
        read_annotations(
            table(tmp_path, "text,response_a,response_b,score_a,score_b\nq1,x,y,4,2\nq2,x,y,1,high\n")
        )


def test_the_lower_rank_wins(tmp_path: Path) -> None:
    found = read_annotations(
        table(
            tmp_path,
            "text,response_a,response_b,response_c,rank_a,rank_b,rank_c,annotator_id\nq1,x,y,z,2,1,2,ann\n",
        )
    )
    expected = {("x", "y", "b"), ("x", "z", "tie"), ("y", "z", "a")}
    assert votes(found) == {("q1", "ann", *each) for each in expected}


RANKINGS: dict[str, object] = {
    "list": ["b", "a", "c"],
    "columns": ["response_b", "response_a", "response_c"],
    "tie": [["b"], ["a", "c"]],
    "arrows": "b > a > c",
    "JSON": '["b", "a", "c"]',
    "ranks": {"a": 2, "b": 1, "c": 3},
}


@pytest.mark.parametrize("form", RANKINGS)
@pytest.mark.parametrize("responses", ["columns", "list", "object"])
def test_a_ranking_is_a_vote_on_every_two_responses(tmp_path: Path, form: str, responses: str) -> None:
    texts = {"a": "x", "b": "y", "c": "z"}
    side = {
        "columns": {f"response_{name}": text for name, text in texts.items()},
        "list": {"responses": list(texts.values())},
        "object": {"responses": texts},
    }[responses]
    row = {"text": "q1", "annotator_id": "ann", "item_id": "7", "ranking": RANKINGS[form], **side}
    found = read_annotations(save(tmp_path, [row], "votes.jsonl"))
    expected = {("x", "y", "b"), ("x", "z", "tie" if form == "tie" else "a"), ("y", "z", "a")}
    assert votes(found) == {("q1", "ann", *each) for each in expected}
    assert set(found.table["item_id"]) == {"7/a-b", "7/a-c", "7/b-c"}
    assert has_note(found, "votes between every two responses")


@settings(max_examples=25, deadline=None)
@given(data=st.data(), rows=st.integers(1, 4))
def test_rankings_give_back_the_order_of_those_ranked(data: st.DataObject, rows: int) -> None:
    """A ranking of k of n responses is k (k − 1) / 2 votes, and each vote is for the one that stands before."""
    records, expected = [], set()
    for row in range(rows):
        ranked = data.draw(st.permutations("abcd")) if row else ["d", "a", "c", "b"]
        ranked = ranked[: data.draw(st.integers(2, 4))]
        responses = {name: f"{name} of {row}" for name in "abcd"}
        records.append(
            {"prompt": f"q{row}", "annotator_id": "ann", "responses": responses, "ranking": list(ranked)}
        )
        for one, other in ((one, other) for one in ranked for other in ranked if one < other):
            label = "a" if ranked.index(one) < ranked.index(other) else "b"
            expected.add((f"q{row}", "ann", responses[one], responses[other], label))
    with tempfile.TemporaryDirectory() as folder:
        found = read_annotations(save(Path(folder), records, "v.jsonl"), labels=["a", "b"])
    assert votes(found) == expected


@pytest.mark.parametrize(
    ("ranking", "told"), [([2, 1, 3], "the rank of one"), (["a", "d"], "no response"), (["a", "a"], "twice")]
)
def test_a_ranking_of_something_else_is_refused(tmp_path: Path, ranking: list[object], told: str) -> None:
    row = {"text": "q", "responses": ["x", "y", "z"], "ranking": ranking}
    with pytest.raises(DataError, match="line 1") as caught:
        read_annotations(save(tmp_path, [row], "votes.jsonl"))
    assert told in caught.value.what
    assert '["c", "b", "a"]' in str(caught.value.fix)


def test_items_of_rankings_are_pairs_only_after_convert(tmp_path: Path) -> None:
    row = {"text": "q", "responses": ["x", "y", "z"], "ranking": ["b", "a", "c"]}
    with pytest.raises(UsageError, match="dcpc convert"):
        read_items(save(tmp_path, [row], "votes.jsonl"))


@pytest.mark.parametrize(
    ("signs", "labels"),
    [
        ("+-=", ["a", "b", "tie"]),
        ("+−=", ["a", "b", "tie"]),
        ("><=", ["a", "b", "tie"]),
        ("-+-", ["b", "a", "b"]),
    ],
)
def test_signs_are_votes(tmp_path: Path, signs: str, labels: list[str]) -> None:
    rows = "".join(f"q{n},x,y,{sign}\n" for n, sign in enumerate(signs))
    found = read_annotations(table(tmp_path, "text,response_a,response_b,label\n" + rows))
    assert labels_of(found) == labels
    assert found.scale == "preference"
    assert has_note(found, "Votes were read by their words")


def test_signs_of_single_texts_stay_labels(tmp_path: Path) -> None:
    assert labels_of(read_annotations(table(tmp_path, "text,label\none,+\ntwo,-\n"))) == ["+", "-"]


@pytest.mark.parametrize("name", ["prompt", "Question", "instruction"])
def test_prompts_of_pairs_are_their_texts(tmp_path: Path, name: str) -> None:
    path = table(tmp_path, f"{name},response_a,response_b,label\nq1,yes,no,a\nq2,yes,no,b\n")
    found = read_annotations(path)
    assert found.n_items == 2, "two prompts with the same responses are no one item"
    assert found.table["text"].tolist() == ["q1", "q2"]
    assert has_note(found, f'The prompts were read from the column "{name}"')
    assert read_items(path)["text"].tolist() == ["q1", "q2"]


def test_of_two_columns_that_may_be_prompts_a_note_asks(tmp_path: Path) -> None:
    found = read_annotations(
        table(tmp_path, "prompt,context,response_a,response_b,label\nq1,c,yes,no,a\nq2,c,no,yes,b\n")
    )
    assert "text" not in found.table
    assert has_note(found, "--columns text=prompt")


# Commas that nothing follows


def test_commas_that_nothing_follows_are_skipped_with_a_note(tmp_path: Path) -> None:
    text = '[\n {"text": "one, ] and ,} \\",]", "label": "a",},\n {"text": "two", "label": "b"},\n]\n'
    path = tmp_path / "data.json"
    path.write_text(text)
    found = read_annotations(path)
    assert found.table["text"].tolist() == ['one, ] and ,} ",]', "two"]
    assert has_note(found, "2 commas that nothing follows")


@pytest.mark.parametrize("end", ["},", ",}", ",},"])
@pytest.mark.parametrize("name", ["data.jsonl", "data.json"])
def test_lines_that_end_with_a_comma(tmp_path: Path, end: str, name: str) -> None:
    path = tmp_path / name
    path.write_text("".join(f'{{"text": "t, }} {n}", "label": "{"ab"[n]}"{end}\n' for n in range(2)))
    found = read_annotations(path)
    assert found.table["text"].tolist() == ["t, } 0", "t, } 1"]
    assert has_note(found, "Commas that nothing follows")


def test_other_mistakes_of_json_are_still_refused_by_line(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text('[\n {"text": "one" "label": "a"},\n]\n')
    with pytest.raises(DataError, match="line 2"):
        read_annotations(path)


@settings(max_examples=25, deadline=None)
@given(texts=st.lists(st.text(st.sampled_from('ab,]}[{"\\ \n'), max_size=8), min_size=2, max_size=4))
def test_commas_within_texts_stay(texts: list[str]) -> None:
    rows = [{"text": f"t{text}.", "label": "ab"[n % 2]} for n, text in enumerate(texts)]
    with tempfile.TemporaryDirectory() as folder:
        plain = save(Path(folder), rows)
        expected = read_annotations(plain).table
        plain.write_text("[" + "".join(json.dumps(row)[:-1] + ", }," for row in rows) + " ]")
        found = read_annotations(plain).table
    pd.testing.assert_frame_equal(found, expected)
