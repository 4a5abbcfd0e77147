"""Reading replies, and writing chats as tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dcpc.errors import DataError, ModelError, UsageError
from dcpc.tasks.write import hold_out_replies, read_replies
from dcpc.tasks.write.batches import ReplyDataset
from dcpc.tasks.write.prompts import PromptFormat
from dcpc.tasks.write.replies import Replies
from tiny_writers import TEMPLATE, tiny_tokenizer

USER, SAID = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}


def written(folder: Path, rows: list[dict[str, Any]], **settings: Any) -> Replies:
    path = folder / "replies.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return read_replies(path, **settings)


def test_prompts_replies_and_writers(tmp_path: Path) -> None:
    replies = written(
        tmp_path,
        [
            {"text": "hi", "response": "hello", "annotator_id": 3, "origin": "x"},
            {"text": "hi", "response": "HELLO", "annotator_id": 1, "origin": "x"},
            {"text": "bye", "response": " ", "annotator_id": 1, "origin": "y"},
            {"text": "bye", "response": "ciao", "annotator_id": None, "origin": "y"},
        ],
    )
    assert replies.responses == ["hello", "HELLO", "ciao"]
    assert replies.prompts[0] == [USER]
    assert replies.writers == ("1", "3")
    assert replies.writer_ids == ["3", "1", None]
    assert replies.n_items == 2
    assert replies.table["origin"].tolist() == ["x", "x", "y"]
    assert "1 row with an empty reply left out." in replies.notes
    assert "1 reply by unknown writers: learned as anybody's." in replies.notes


def test_chats_of_several_turns(tmp_path: Path) -> None:
    more = {"role": "user", "content": "and?"}
    replies = written(
        tmp_path,
        [
            {"messages": [USER, SAID, more, SAID], "annotator_id": "a"},
            {"messages": json.dumps([USER, SAID, more]), "annotator_id": "b"},
            {"messages": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}]},
        ],
    )
    assert replies.prompts == [[USER, SAID, more], [USER], [USER]]
    assert replies.responses == ["hello", "hello", "ho"]
    assert "1 chat went on after the last reply; those turns were left out." in replies.notes
    format = PromptFormat(tiny_tokenizer(), 100)
    learned = [format.text(example.reply) for example in ReplyDataset(replies, format).examples]
    assert learned == ["hello", "hello", "hello", "ho"]  # both replies of the first chat


def test_a_reply_beside_its_chat(tmp_path: Path) -> None:
    replies = written(tmp_path, [{"messages": [SAID | {"role": "system"}, USER], "response": "yes"}])
    assert [turn["role"] for turn in replies.prompts[0]] == ["system", "user"]
    assert replies.responses == ["yes"]


def test_parquet_gives_chats_as_arrays(tmp_path: Path) -> None:
    pd.DataFrame({"messages": [[USER, SAID]], "annotator_id": ["a"]}).to_parquet(tmp_path / "r.parquet")
    assert read_replies(tmp_path / "r.parquet").prompts == [[USER]]


def test_prompts_alone(tmp_path: Path) -> None:
    rows = [{"messages": [USER]}, {"messages": [USER, SAID]}]
    assert written(tmp_path, rows, with_replies=False).prompts == [[USER], [USER]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"asked": "hi", "response": "ho"}], 'neither a column "text" nor "messages"'),
        ([{"text": "hi", "reply": "ho"}], 'no column "response"'),
        ([{"text": "hi", "response": ""}], "no reply is left"),
        ([{"text": "", "response": "ho"}], 'line 1, column "text": the prompt is empty'),
        ([{"messages": [USER]}], 'line 1, column "messages": the chat has no turn of the assistant'),
        ([{"messages": "hi"}], "is not JSON"),
        ([{"messages": [{"role": "narrator", "content": "x"}]}], "role 'narrator'"),
        ([{"messages": [USER, SAID | {"role": "system"}]}], "system turn at place 2"),
        ([{"messages": [{"role": "user", "content": 3}, SAID]}], "content is no text"),
        (
            [
                {"item_id": 1, "text": "a", "response": "x"},
                {"item_id": 1, "text": "b", "response": "x"},
            ],
            "has another prompt in line 1",
        ),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        written(tmp_path, rows)


def test_columns_can_be_named(tmp_path: Path) -> None:
    rows = [{"instruction": "hi", "output": "ho", "author": "a"}]
    names = {"text": "instruction", "response": "output", "annotator_id": "author"}
    assert written(tmp_path, rows, columns=names).writers == ("a",)
    with pytest.raises(DataError, match="--columns response=output"):
        written(tmp_path, rows, columns={**names, "response": "outputs"})
    with pytest.raises(UsageError, match="not a column that can be named"):
        written(tmp_path, rows, columns={"label": "output"})


def test_one_writer_and_none_are_noted(tmp_path: Path) -> None:
    one = written(tmp_path, [{"text": "hi", "response": "ho", "annotator_id": "a"}])
    assert any("by one writer (a)" in note for note in one.notes)
    nobody = written(tmp_path, [{"text": "hi", "response": "ho"}])
    assert any("No column says who wrote" in note for note in nobody.notes)


def test_prompts_are_held_out_whole(tmp_path: Path) -> None:
    rows = [
        {"text": f"say {n}", "response": "x", "annotator_id": who} for n in range(10) for who in ("a", "b")
    ]
    train, validation, left_out = hold_out_replies(written(tmp_path, rows), 0.2, seed=0)
    assert (len(train.table), len(validation.table)) == (16, 4)
    assert left_out == {}
    assert not set(train.table["item_id"]) & set(validation.table["item_id"])
    names = {"say 3": "Test ", "say 4": "", "say 5": "dev"}
    splits = [{**row, "split": names.get(row["text"], "train")} for row in rows]
    train, validation, left_out = hold_out_replies(written(tmp_path, splits), 0.0, seed=0)
    assert validation is not None
    assert (train.n_items, validation.n_items, left_out) == (7, 1, {"Test": 1, "(empty)": 1})


def test_a_prompt_is_what_the_template_writes() -> None:
    tokenizer = tiny_tokenizer()
    format = PromptFormat(tokenizer, 100)
    example = format.example([USER, SAID, USER], "ok")
    whole = tokenizer.apply_chat_template(
        [USER, SAID, USER, {"role": "assistant", "content": "ok"}], tokenize=False
    )
    assert tokenizer.decode(example.prompt) + tokenizer.decode(example.reply) + "\n" == whole
    assert tokenizer.decode(example.reply) == "ok<|end|>"
    assert format.end_ids == tokenizer.convert_tokens_to_ids(["<|end|>", "<|eos|>"])


def test_without_a_template_turns_are_named() -> None:
    tokenizer = tiny_tokenizer(None)
    example = PromptFormat(tokenizer, 100, system="Be kind.").example([USER], "ok")
    assert tokenizer.decode(example.prompt) == "Be kind.\n\nUser: hi\n\nAssistant:"
    assert tokenizer.decode(example.reply) == " ok<|eos|>"


def test_system_prompts_are_kept() -> None:
    tokenizer = tiny_tokenizer()
    told = PromptFormat(tokenizer, 100, system="Be kind.")
    assert tokenizer.decode(told.example([USER], "ok").prompt).startswith("<|system|>Be kind.<|end|>")
    own = [{"role": "system", "content": "Be brief."}, USER]
    assert "Be kind" not in tokenizer.decode(told.example(own, "ok").prompt)
    assert told.cuts.systems == 0


@pytest.mark.parametrize(
    "template",
    [
        TEMPLATE.replace("{% for m in messages %}", "{% for m in messages if m['role'] != 'system' %}"),
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + TEMPLATE,
    ],
    ids=["drops", "refuses"],
)
def test_a_template_that_drops_the_system_turn_is_reported(template: str) -> None:
    tokenizer = tiny_tokenizer(template)
    format = PromptFormat(tokenizer, 100, system="Be kind.")
    assert tokenizer.decode(format.example([USER], "ok").prompt).startswith("<|user|>Be kind.\n\nhi")
    assert "drops the system turn: in 1 chat" in format.cuts.notes(100)[0]


def test_long_prompts_lose_the_end_of_their_longest_turn() -> None:
    tokenizer = tiny_tokenizer()
    format = PromptFormat(tokenizer, 64, system="Be kind.")
    example = format.example([{"role": "user", "content": "abc" * 100}], "ok")
    text = tokenizer.decode(example.prompt)
    assert len(example.prompt) + len(example.reply) <= 64
    assert text.startswith("<|system|>Be kind.<|end|>\n<|user|>abcabc")
    assert text.endswith("<|end|>\n<|assistant|>")
    assert tokenizer.decode(example.reply) == "ok<|end|>"
    assert "1 prompt shortened to fit into 64 tokens" in format.cuts.notes(64)[0]


def test_long_replies_are_learned_without_their_end() -> None:
    tokenizer = tiny_tokenizer()
    format = PromptFormat(tokenizer, 40)
    example = format.example([USER], "x" * 100)
    assert set(tokenizer.decode(example.reply)) == {"x"}
    assert len(example.prompt) + len(example.reply) == 40
    assert format.cuts.replies == 1


def test_a_template_that_leaves_no_room_is_an_error() -> None:
    with pytest.raises(DataError, match="template alone takes"):
        PromptFormat(tiny_tokenizer(), 6).example([USER], "ok")


def test_models_that_could_not_learn_to_stop_are_refused() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="no end token"):
        PromptFormat(tokenizer, 100)
    with pytest.raises(ModelError, match="leaves out what the assistant says"):
        PromptFormat(tiny_tokenizer("{{ messages[0]['content'] }}"), 100)


def test_replies_of_real_writers(shared_data: Path) -> None:
    replies = read_replies(shared_data / "alpaca_eval_styles" / "annotations.parquet")
    assert len(replies.writers) == 5
    assert replies.n_items == 805
    assert len(replies.table) == 4025
