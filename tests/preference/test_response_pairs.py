"""What only pairs of responses need: chats that are none are refused, odd votes are counted."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from dcpc.data import Annotations
from dcpc.errors import DataError
from dcpc.preference.pairs import pair_notes, response_pairs


def votes(rows: list[tuple[str, str, str, str, str]]) -> Annotations:
    columns = ["item_id", "response_a", "response_b", "annotator_id", "label"]
    return Annotations(
        pd.DataFrame(rows, columns=columns).assign(text="Why?"), ("a", "tie", "b"), "preference"
    )


def test_odd_votes_are_counted_and_said() -> None:
    rows = [(f"i{n}", f"x{n}", f"y{n}", "ann", "a") for n in range(6)]
    rows += [("j", "same", "same", "bob", "tie"), ("k", "x", "y", "bob", "a"), ("l", "y", "x", "bob", "b")]
    notes = " ".join(pair_notes(votes(rows)))
    assert "1 pair with two equal responses" in notes
    assert "1 pair judged in both orders by one rater" in notes
    assert '1 rater gave one vote only: "ann" (a, 6 times)' in notes


def test_nothing_is_said_where_nothing_is_odd() -> None:
    assert pair_notes(votes([("i", "x", "y", "ann", "a"), ("j", "v", "w", "ann", "b")])) == ()


def chat(*turns: tuple[str, str]) -> str:
    return json.dumps([{"role": role, "content": content} for role, content in turns])


ASKED = ("user", "Why?")


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (chat(ASKED), chat(ASKED), "last turn is of the role"),
        (chat(ASKED, ("assistant", "x")), chat(("user", "How?"), ("assistant", "y")), "different prompts"),
        ("[not json", chat(ASKED, ("assistant", "y")), "not readable JSON"),
        ('[{"role": "user"}]', chat(ASKED, ("assistant", "y")), "each with a role and a content"),
    ],
)
def test_chats_that_are_no_pair_are_refused(a: str, b: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        response_pairs(pd.DataFrame({"item_id": ["i"], "messages_a": [a], "messages_b": [b]}), "votes.csv")


def test_what_both_sides_share_is_the_prompt() -> None:
    frame: Any = pd.DataFrame(
        {
            "item_id": ["i"],
            "messages_a": [chat(ASKED, ("assistant", "x"))],
            "messages_b": [chat(ASKED, ("assistant", "y"))],
        }
    )
    ((first, second),) = response_pairs(frame)
    assert first.prompt == second.prompt == [{"role": "user", "content": "Why?"}]
    assert (first.reply[0]["content"], second.reply[0]["content"]) == ("x", "y")
