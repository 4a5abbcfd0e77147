"""Shifted tasks: identity at strength 0, deterministic, meaning kept, disagreement where it was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcpc.errors import DataError, UsageError
from dcpc_bench.source_tasks import SHIFTED_TASKS, load_task, shift_task
from dcpc_bench.source_tasks.paraphrase import PLACEHOLDER, RECORD_REGISTERS, paraphrase_query
from dcpc_bench.source_tasks.registers import (
    ALPACA_REGISTERS,
    BOOLQ_REGISTERS,
    recover_yes_no,
    rewrite_reply,
    rewrite_yes_no,
)

ROWS = {
    "boolq": {"question": "is water wet", "passage": "Water is wet.", "label": True},
    "copa": {
        "premise": "The door opened.",
        "choice1": "She pushed it.",
        "choice2": "The wind blew.",
        "question": "cause",
        "label": 1,
    },
    "record": {
        "passage": "Ada Lovelace met Babbage.",
        "query": "He said @placeholder can't be late.",
        "answers": ["Ada Lovelace"],
    },
    "sst2": {"sentence": "a fine film", "label": 1},
    "rte": {"premise": "A dog ran home.", "hypothesis": "A dog ran.", "label": "entailment"},
    "alpaca": {"instruction": "Name a colour.", "input": "", "output": "Red, e.g. as in blood."},
}


def write_task(folder: Path, name: str, n: int = 40) -> Path:
    rows = [dict(ROWS[name]) for _ in range(n)]
    for i, row in enumerate(rows):
        if name == "sst2" and i % 2:
            row.update(sentence="a dull film", label=0)
        if name == "rte" and i % 2:
            row.update(hypothesis=f"Cat number {i} slept.", label="not_entailment")
    target = folder / name
    target.mkdir()
    pd.DataFrame(rows).to_parquet(target / "train.parquet")
    return target


def recover_reply(text: str) -> str:
    """The reply inside its frame, in the form in which replies are compared."""
    for frames in ALPACA_REGISTERS.values():
        for before, after in frames:
            if before and text.startswith(before) and text.endswith(after):
                return reply_core(text[len(before) : len(text) - len(after)])
    return reply_core(text)


def reply_core(reply: str) -> str:
    """A reply with single spaces and without its final full stop."""
    return " ".join(reply.split()).removesuffix(".")


@pytest.fixture(params=list(SHIFTED_TASKS))
def named_table(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, pd.DataFrame]:
    task = SHIFTED_TASKS[request.param]
    return request.param, load_task(task, write_task(tmp_path, task))


def test_strength_zero_changes_nothing(named_table: tuple[str, pd.DataFrame]) -> None:
    name, table = named_table
    shifted = shift_task(name, table, strength=0.0)
    assert shifted.report.changed_texts == 0
    assert not shifted.report.realised_noise
    if "clean_label" in shifted.table:
        assert (shifted.table["clean_label"] == shifted.table["label"]).all()
    plain = {"boolq-ps": "label", "alpaca-is": "gold_response"}
    if name in plain:
        assert (shifted.table["response"] == shifted.table[plain[name]]).all()
    if name == "record-r":
        assert set(shifted.table["text"]) == {ROWS["record"]["query"]}


def test_the_same_seed_gives_the_same_table(named_table: tuple[str, pd.DataFrame]) -> None:
    name, table = named_table
    one, two, other = (shift_task(name, table, seed=s, labels_per_item=2) for s in (3, 3, 4))
    pd.testing.assert_frame_equal(one.table, two.table)
    assert not one.table.equals(other.table)
    assert len(one.table) == 2 * len(table) == one.report.rows


@pytest.mark.parametrize("register", BOOLQ_REGISTERS)
@pytest.mark.parametrize("answer", ["yes", "no"])
def test_every_phrase_gives_its_answer_back(register: str, answer: str) -> None:
    texts = {rewrite_yes_no(answer, register, d) for d in np.linspace(0, 0.999, 50)}
    assert len(texts) == len(BOOLQ_REGISTERS[register][answer])
    assert {recover_yes_no(t) for t in texts} == {answer}


@given(st.text(), st.sampled_from(sorted(ALPACA_REGISTERS)), st.floats(0, 0.999))
def test_every_reply_is_recovered_from_its_register(reply: str, register: str, draw: float) -> None:
    assert recover_reply(rewrite_reply(reply, register, draw)) == reply_core(reply.strip())


@given(st.sampled_from(RECORD_REGISTERS), st.floats(0, 0.999))
def test_every_query_keeps_its_placeholders(register: str, draw: float) -> None:
    for query in (
        "He said @placeholder can't stay, he won't.",
        "I am @placeholder’s son",
        "@placeholder is not in",
    ):
        written = paraphrase_query(query, register, draw)
        assert written.count(PLACEHOLDER) == query.count(PLACEHOLDER)


def test_registers_contract_and_expand() -> None:
    assert paraphrase_query("@placeholder won't say they aren't.", "plain", 0) == (
        "@placeholder will not say they are not."
    )
    assert paraphrase_query("@placeholder will not stay.", "informal", 0) == "@placeholder won't stay."


def test_biased_annotators_take_the_person_as_cause(tmp_path: Path) -> None:
    table = load_task("copa", write_task(tmp_path, "copa", 200))  # gold is b, a mentions a person
    shifted = shift_task("copa-bs", table, labels_per_item=4)
    by_group = shifted.table.groupby("annotator_group")["label"].apply(lambda s: (s == "a").mean())
    assert by_group["neutral"] == 0
    assert by_group["people_causes"] == pytest.approx(0.7, abs=0.08)


def test_a_language_model_is_used_only_where_it_keeps_the_answer(tmp_path: Path) -> None:
    table = load_task("boolq", write_task(tmp_path, "boolq"))
    kept = shift_task("boolq-ps", table, rewriter=lambda prompt: "Why yes, my dear!")
    assert set(kept.table["response"]) == {"Why yes, my dear!"}
    lost = shift_task("boolq-ps", table, rewriter=lambda prompt: "No way")
    assert {recover_yes_no(t) for t in lost.table["response"]} == {"yes"}


@pytest.mark.parametrize("name", SHIFTED_TASKS)
def test_real_tasks_keep_their_gold_answers(name: str, shared_data: Path) -> None:
    table = load_task(SHIFTED_TASKS[name], shared_data / SHIFTED_TASKS[name]).head(400)
    shifted = shift_task(name, table).table
    if name == "boolq-ps":
        assert [recover_yes_no(t) for t in shifted["response"]] == shifted["label"].tolist()
    elif name == "alpaca-is":
        gold = [reply_core(t.strip()) for t in shifted["gold_response"]]
        assert [recover_reply(t) for t in shifted["response"]] == gold
    elif name == "record-r":
        queries = table.set_index("item_id")["query"].loc[shifted["item_id"]]
        assert shifted["text"].str.count(PLACEHOLDER).tolist() == queries.str.count(PLACEHOLDER).tolist()
    else:
        assert (shifted["label"] != shifted["clean_label"]).mean() < 0.35


def test_glue_names_and_codes_are_read(tmp_path: Path) -> None:
    frame = pd.DataFrame({"sentence1": ["p", "q", "r"], "sentence2": ["h"] * 3, "label": [0, 1, -1]})
    frame.to_json(tmp_path / "dev.jsonl", orient="records", lines=True)
    table = load_task("rte", tmp_path / "dev.jsonl")
    assert table["label"].tolist() == ["entailment", "not_entailment"]  # hidden test labels are left out
    assert table["item_id"].tolist() == ["dev-0", "dev-1"]


def test_bad_sources_are_named(tmp_path: Path) -> None:
    folder = write_task(tmp_path, "sst2")
    with pytest.raises(DataError, match="premise"):
        load_task("rte", folder)
    with pytest.raises(DataError, match="no Parquet"):
        load_task("rte", tmp_path / "nothing")
    with pytest.raises(UsageError, match="not a task"):
        load_task("nli", folder)
    pd.DataFrame({"sentence": ["x"], "label": ["maybe"]}).to_csv(tmp_path / "bad.csv")
    with pytest.raises(DataError, match="row 1"):
        load_task("sst2", tmp_path / "bad.csv")
