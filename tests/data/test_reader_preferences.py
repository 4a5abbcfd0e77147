"""Pairs of responses and who prefers which: votes between chats, TRL's chosen and rejected, Argilla's rankings."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import labels_of, save

from dcpc.data.readers import read_annotations
from dcpc.data.readers.detect import detect_format
from dcpc.errors import DataError

quick = settings(max_examples=6)
words = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12).map(
    lambda t: f"t{t.strip()}"
)
Pair = tuple[str, str, str, str, int]
"""Prompt, preferred response, other response, rater, 0 for chats and 1 for texts."""


def chat(*said: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[n % 2], "content": words} for n, words in enumerate(said)]


@st.composite
def pairs(draw: st.DrawFn) -> list[tuple[str, str, str, str]]:
    found = draw(st.lists(st.tuples(words, words, words), min_size=1, max_size=5, unique_by=lambda p: p[0]))
    rows = [
        (f"q {prompt}", f"1{a}", f"2{b}", rater)
        for prompt, a, b in found
        for rater in draw(st.lists(st.sampled_from("xyz"), min_size=1, unique=True))
    ]
    # Both sides must be preferred at least once, whatever the hashes.
    return [*rows, ("q extra", "1a", "2b", "x"), ("q extra", "2b", "1a", "y")]


def preferred(path: Path) -> set[tuple[str, str, str, str]]:
    """Prompt, preferred, other, rater of each judgement that was read."""
    table = read_annotations(path).table
    other = {"a": "b", "b": "a"}
    return {
        (row.text, row[f"response_{row.label}"], row[f"response_{other[row.label]}"], row.annotator_id)
        for _, row in table.iterrows()
    }


@pytest.mark.parametrize("shape", ["texts", "chats", "chats without a prompt", "texts without a prompt"])
@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet", "csv", "tsv"])
@quick
@given(rows=pairs())
def test_trl_pairs_give_who_preferred_what(shape: str, kind: str, rows: list[tuple[str, ...]]) -> None:
    def record(prompt: str, good: str, bad: str, rater: str) -> dict[str, Any]:
        if shape == "texts":
            pair: dict[str, Any] = {"prompt": prompt, "chosen": good, "rejected": bad}
        elif shape == "chats":
            pair = {
                "prompt": chat(prompt),
                "chosen": [{"role": "assistant", "content": good}],
                "rejected": [{"role": "assistant", "content": bad}],
            }
        elif shape == "chats without a prompt":
            pair = {"chosen": chat(prompt, good), "rejected": chat(prompt, bad)}
        else:
            start = f"{prompt}\n\nAssistant:"
            pair = {"chosen": f"{start} {good}", "rejected": f"{start} {bad}"}
        return {**pair, "annotator_id": rater}

    records = [record(*row) for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"pairs.{kind}"
        if kind == "parquet":
            pd.DataFrame(records).to_parquet(path)
        elif kind in ("csv", "tsv"):
            cells = [{k: json.dumps(v) if isinstance(v, list) else v for k, v in r.items()} for r in records]
            pd.DataFrame(cells).to_csv(path, index=False, sep="\t" if kind == "tsv" else ",")
        else:
            save(Path(folder), records, path.name)
        assert detect_format(str(path), {}) == "trl"
        found = preferred(path)
        annotations = read_annotations(path)
    assert found == {tuple(part.strip() for part in row) for row in rows}
    assert annotations.scale == "preference"
    # Raters who disagree about a pair judge one item.
    assert annotations.n_items == len({(row[0], frozenset(row[1:3])) for row in rows})


@quick
@given(rows=pairs())
def test_votes_between_chats_give_who_preferred_what(rows: list[tuple[str, ...]]) -> None:
    records = [
        {
            "question_id": prompt,
            "model_a": "m1",
            "model_b": "m2",
            "winner": "model_a" if good < bad else "model_b",
            "judge": rater,
            "conversation_a": chat(prompt, min(good, bad), "later", "answer"),
            "conversation_b": chat(prompt, max(good, bad), "later", "another"),
            "turn": 1,
        }
        for prompt, good, bad, rater in rows
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = save(Path(folder), records, "votes.jsonl")
        assert detect_format(str(path), {}) == "votes"
        found = preferred(path)
    # Only the first turn was judged: what came later is no part of the responses.
    assert found == set(rows)


def test_ties_of_votes_are_ties_however_they_are_called(tmp_path: Path) -> None:
    winners = ["model_a", "tie", "tie (bothbad)", "model_b", "tie (inconsistent)"]
    records = [
        {
            "question_id": n,
            "model_a": "m1",
            "model_b": "m2",
            "winner": winner,
            "judge": "j",
            "conversation_a": chat(f"q{n}", "one"),
            "conversation_b": chat(f"q{n}", "two"),
        }
        for n, winner in enumerate(winners)
    ]
    assert labels_of(read_annotations(save(tmp_path, records, "v.jsonl"))) == ["a", "tie", "tie", "b", "tie"]


@pytest.mark.parametrize("version", [1, 2])
def test_argilla_rankings_of_two_responses_are_preferences(tmp_path: Path, version: int) -> None:
    def ranking(first: int, second: int) -> list[dict[str, Any]]:
        return [{"value": "response-1", "rank": first}, {"value": "response-2", "rank": second}]

    given = [(1, 2, "u1"), (2, 1, "u2"), (1, 1, "u3")]
    if version == 1:
        responses: Any = [
            {"user_id": u, "status": "submitted", "values": {"better": {"value": ranking(a, b)}}}
            for a, b, u in given
        ]
    else:
        responses = {"better": [{"value": ranking(a, b), "user_id": u} for a, b, u in given]}
    fields = {"prompt": "Why?", "response_1": "Because.", "response_2": "So."}
    found = read_annotations(save(tmp_path, [{"id": "1", "fields": fields, "responses": responses}]))
    assert labels_of(found) == ["a", "b", "tie"]
    assert found.items.iloc[0][["text", "response_a", "response_b"]].tolist() == list(fields.values())


def test_degrees_of_preference_are_an_ordinal_scale(tmp_path: Path) -> None:
    records = [
        {
            "context": chat("Why?"),
            "response1": "Because.",
            "response2": f"So {n}.",
            "overall_preference": 0,
            "individual_preference": [{"score": score, "reasoning": "r"} for score in (-3, 0, 2)],
        }
        for n in range(2)
    ]
    found = read_annotations(save(tmp_path, records, "p.jsonl"))
    assert (found.labels, found.scale) == (("-3", "0", "2"), "ordinal")
    assert found.items["text"].tolist() == ["Why?", "Why?"]
    assert not found.has_annotators


def test_pairs_without_anything_shared_have_no_prompt(tmp_path: Path) -> None:
    records = [{"chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(8)]
    found = read_annotations(save(tmp_path, records, "p.jsonl"))
    assert "text" not in found.table
    assert set(found.labels) == {"a", "b"}


def test_pairwise_tasks_without_a_prompt_need_only_the_two_named(tmp_path: Path) -> None:
    def annotation(side: str, who: int) -> dict[str, Any]:
        answer = {"from_name": "pw", "to_name": "t", "type": "pairwise", "value": {"selected": side}}
        return {"completed_by": who, "result": [answer]}

    task = {"id": 1, "data": {"one": "A.", "two": "B."}}
    path = save(tmp_path, [{**task, "annotations": [annotation("left", 1), annotation("right", 2)]}])
    with pytest.raises(Exception, match="response_a=one,response_b=two"):
        read_annotations(path)
    found = read_annotations(path, columns={"response_a": "one", "response_b": "two"})
    assert labels_of(found) == ["a", "b"]
    assert json.loads(path.read_text())[0]["id"] == 1


def test_openais_comparisons_of_summaries_are_votes_of_workers(tmp_path: Path) -> None:
    records = [
        {
            "info": {"id": "t3", "post": "A long post.", "title": "t"},
            "summaries": [{"text": "one", "policy": "sup"}, {"text": "two", "policy": "ref"}],
            "choice": choice,
            "worker": who,
            "split": "train",
        }
        for who, choice in (("w1", 0), ("w2", 1))
    ]
    found = read_annotations(save(tmp_path, records, "comparisons.jsonl"))
    assert found.table[["text", "response_a", "response_b", "annotator_id", "label"]].to_numpy().tolist() == [
        ["A long post.", "one", "two", "w1", "a"], ["A long post.", "one", "two", "w2", "b"],
    ]  # fmt: skip
    records[1]["choice"] = 2
    with pytest.raises(DataError, match=r"line 2: .*a choice of 0 or 1"):
        read_annotations(save(tmp_path, records, "comparisons.jsonl"))


def test_webgpts_scores_are_votes(tmp_path: Path) -> None:
    records = [
        {
            "question": {"full_text": f"q{row}"},
            "answer_0": "x",
            "answer_1": "y",
            "score_0": score,
            "score_1": -score,
        }
        for row, score in enumerate((1.0, -0.5, 0.0))
    ]
    assert labels_of(read_annotations(save(tmp_path, records))) == ["a", "b", "tie"]
