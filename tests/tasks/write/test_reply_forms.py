"""Instructions and replies in the forms of TRL, ShareGPT and Alpaca, and what is proposed where a form is unknown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dcpc.errors import DataError
from dcpc.tasks.write.replies import Replies, read_replies


def replies(folder: Path, records: list[dict[str, Any]], **options: Any) -> Replies:
    path = folder / "replies.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in records))
    return read_replies(path, **options)


def turn(role: str, said: str) -> dict[str, str]:
    return {"role": role, "content": said}


ASKED, ANSWERED = [turn("user", "ask")], [turn("assistant", "tell")]
FORMS = {
    "TRL, texts": {"prompt": "ask", "completion": "tell"},
    "TRL, turns": {"prompt": ASKED, "completion": ANSWERED},
    "TRL, messages": {"messages": ASKED + ANSWERED},
    "ShareGPT": {"conversations": [{"from": "human", "value": "ask"}, {"from": "gpt", "value": "tell"}]},
    "Alpaca": {"instruction": "ask", "input": "", "output": "tell"},
    "Alpaca without input": {"instruction": "ask", "output": "tell"},
}


@pytest.mark.parametrize("form", FORMS)
def test_common_forms_are_read_as_prompts_and_replies(tmp_path: Path, form: str) -> None:
    found = replies(tmp_path, [{**FORMS[form], "annotator_id": "ann"}])
    assert (found.prompts, found.responses) == ([ASKED], ["tell"])
    said = any(note.startswith("Read ") for note in found.notes)
    assert said == (form != "TRL, messages")


def test_what_an_instruction_is_about_stands_below_it(tmp_path: Path) -> None:
    found = replies(tmp_path, [{"instruction": "Translate.", "input": "oui", "output": "yes"}])
    assert found.prompts == [[turn("user", "Translate.\n\noui")]]


def test_chats_of_csv_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "replies.csv"
    pd.DataFrame({"prompt": [json.dumps(ASKED)], "completion": ["tell"]}).to_csv(path, index=False)
    found = read_replies(path)
    assert (found.prompts, found.responses) == ([ASKED], ["tell"])


def test_columns_that_the_user_names_come_first_and_may_hold_turns(tmp_path: Path) -> None:
    records = [{"prompt": "other", "asked": ASKED, "told": ANSWERED, "completion": "other"}]
    found = replies(tmp_path, records, columns={"text": "asked", "response": "told"})
    assert (found.prompts, found.responses) == ([ASKED], ["tell"])


def test_a_reply_of_several_turns_is_refused_with_its_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 1.*has 2 turns"):
        replies(tmp_path, [{"prompt": ASKED, "completion": ASKED + ANSWERED}])


def test_unknown_names_are_proposed_together_and_the_proposal_works(tmp_path: Path) -> None:
    records = [{"question": "ask", "reply": "tell", "worker": who} for who in ("ann", "bob")]
    with pytest.raises(DataError) as caught:
        replies(tmp_path, records)
    assert "--columns text=question,response=reply." in str(caught.value)
    found = replies(tmp_path, records, columns={"text": "question", "response": "reply"})
    assert found.responses == ["tell", "tell"]
    assert any("--columns annotator_id=worker" in note for note in found.notes)
