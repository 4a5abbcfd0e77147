"""Pairs of whole chats are read without any other text column, and grades beside a column of plain votes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dcpc.data.readers import read_annotations, read_items
from dcpc.errors import DataError

ASKED, ANSWERED = {"role": "user", "content": "Why?"}, {"role": "assistant", "content": "x"}
AGAIN = {"role": "user", "content": "And then?"}


def reply(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}


def written(folder: Path, a: list[Any], b: list[Any], suffix: str = "jsonl") -> str:
    rows = [
        {"item_id": "i", "annotator_id": who, "label": label} for who, label in (("r", "a"), ("s", "tie"))
    ]
    rows.append({"item_id": "j", "annotator_id": "r", "label": "b"})
    chats = [(a, b), (a, b), ([ASKED, reply("v")], [ASKED, reply("w")])]
    path = folder / f"votes.{suffix}"
    if suffix == "jsonl":
        lines = [
            {**row, "messages_a": one, "messages_b": two} for row, (one, two) in zip(rows, chats, strict=True)
        ]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    else:
        table = pd.DataFrame(rows)
        for number, name in enumerate(("messages_a", "messages_b")):
            table[name] = [json.dumps(pair[number]) for pair in chats]
        table.to_csv(path, index=False)
    return str(path)


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_chats_alone_are_a_pair(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path, [ASKED, reply("x")], [ASKED, reply("y")], suffix)
    annotations = read_annotations(path)
    assert annotations.scale == "preference"
    first = annotations.items.iloc[0]
    assert (first["text"], first["response_a"], first["response_b"]) == ("Why?", "x", "y")
    assert {"messages_a", "messages_b"} <= set(annotations.items)
    assert {"response_a", "messages_a"} <= set(read_items(path))


def test_where_histories_differ_the_response_begins_there(tmp_path: Path) -> None:
    a, b = ([ASKED, reply(first), AGAIN, reply(last)] for first, last in (("x", "p"), ("y", "q")))
    first = read_annotations(written(tmp_path, a, b)).items.iloc[0]
    assert first["text"] == "Why?"
    assert first["response_a"] == "assistant: x\nuser: And then?\nassistant: p"


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([ASKED], [ASKED, reply("y")], 'row|line.*last turn is of the role "user"'),
        ([ASKED, reply("x")], [AGAIN, reply("y")], "different prompts"),
        ("nothing", [ASKED, reply("y")], "each with a role and a content"),
    ],
)
def test_chats_that_are_no_pair_are_refused_with_their_place(
    tmp_path: Path, a: Any, b: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_annotations(written(tmp_path, a, b))


def test_declared_grades_are_not_given_up_for_a_column_of_plain_votes(tmp_path: Path) -> None:
    grades = ["a-is-better", "a-is-slightly-better", "tie", "b-is-slightly-better", "b-is-better"]
    rows = [
        {
            "item_id": f"i{n}",
            "text": f"t{n}",
            "response_a": "x",
            "response_b": "y",
            "label": grade,
            "preference": grade[0],
        }
        for n, grade in enumerate(grades)
    ]
    table = pd.DataFrame(rows).assign(preference=["a", "a", "tie", "b", "b"])
    table.to_csv(tmp_path / "v.csv", index=False)
    graded = read_annotations(str(tmp_path / "v.csv"), scale="ordinal", labels=grades)
    assert graded.labels == tuple(grades)
    assert read_annotations(str(tmp_path / "v.csv")).labels == ("a", "b", "tie")
