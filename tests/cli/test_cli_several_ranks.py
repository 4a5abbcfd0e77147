"""Commands that a launcher starts in two processes: one output, one message, nothing half-written."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pandas as pd
import pytest
from transformers import TrainerCallback

from dcpc import fit, prediction
from dcpc.cli import main
from dcpc.training import sharding
from several_ranks import Ended, on_ranks

DIES_AT = 4


class _Dies(TrainerCallback):
    """The second process ends as the system ends one for its memory."""

    def on_step_end(self, args, state, control, **kwargs) -> None:
        if state.global_step == DIES_AT and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)


def run(*commands: list[str]) -> None:
    """One command after the other; the exit code is that of the last, or of the first that fails."""
    for command in commands:
        try:
            main(command)
        except SystemExit as end:
            if end.code:
                raise


def run_in_parts(command: list[str]) -> None:
    """With so few rows to a part that there are several, the last of them smaller than the number of processes."""
    predict_parts = prediction.predict_parts
    prediction.predict_parts = lambda *a, **k: predict_parts(*a, **k, at_once=33)
    main(command)


def run_and_die(command: list[str]) -> None:
    train_adapter = fit.train_adapter
    fit.train_adapter = lambda *a, **k: train_adapter(*a, **k, callbacks=[_Dies()])
    main(command)


def only_the_second_lacks(path: str, command: list[str]) -> None:
    main([word if os.environ["RANK"] == "0" else word.replace(path, f"{path}-not-here") for word in command])


def said(ended: list[Ended]) -> list[str]:
    """All lines of messages, whoever said them."""
    return [line for end in ended for line in end.err.splitlines() if "Error" in line or "Traceback" in line]


@pytest.fixture
def words(reviews, tiny_bert, tmp_path):
    return ["train", str(reviews), "--model", tiny_bert, "--output", str(tmp_path / "adapter"), "--set"]


@pytest.mark.parametrize("form", ["consensus", "distribution", "annotators"])
def test_predictions_of_two_processes_are_those_of_one(adapter, reviews, dcpc, tmp_path, form) -> None:
    def command(name: str) -> list[str]:
        return [
            "predict",
            str(adapter),
            str(reviews),
            "--as",
            form,
            "--output",
            str(tmp_path / name),
            "--batch-size",
            "5",
        ]

    ended = on_ranks(tmp_path / "streams", run_in_parts, command("two.csv"))
    assert [end.code for end in ended] == [0, 0], ended[0].err + ended[1].err
    assert [bool(end.out) for end in ended] == [True, False]
    assert ended[1].err == ""
    dcpc(*command("one.csv"))
    one, two = (pd.read_csv(tmp_path / name) for name in ("one.csv", "two.csv"))
    pd.testing.assert_frame_equal(one, two, atol=1e-6, rtol=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.csv", "streams", "two.csv"]


def test_a_process_without_rows_waits_for_the_one_that_has_them(adapter, dcpc, tmp_path) -> None:
    (tmp_path / "one.csv").write_text("item_id,text\nonly,the film was good\n")

    def command(name: str) -> list[str]:
        return ["predict", str(adapter), str(tmp_path / "one.csv"), "--output", str(tmp_path / name)]

    ended = on_ranks(tmp_path / "streams", run, command("of-two.csv"))
    assert [end.code for end in ended] == [0, 0], ended[0].err + ended[1].err
    dcpc(*command("of-one.csv"))
    assert (tmp_path / "of-two.csv").read_text() == (tmp_path / "of-one.csv").read_text()


def run_split(command: list[str]) -> None:
    """As `accelerate launch --use_fsdp --fsdp_version 2` starts a command."""
    os.environ |= {
        "ACCELERATE_USE_FSDP": "true",
        "FSDP_VERSION": "2",
        "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
    }
    split = []
    fully_shard = sharding.fully_shard
    sharding.fully_shard = lambda module, **options: split.append(fully_shard(module, **options))
    try:
        main(command)
    finally:
        assert len(split) > 2, "layers and the whole"


def test_predictions_of_a_split_base_model_are_those_of_a_whole_one(adapter, reviews, dcpc, tmp_path) -> None:
    def command(name: str) -> list[str]:
        output = ["--output", str(tmp_path / name), "--batch-size", "5"]
        return ["predict", str(adapter), str(reviews), "--as", "annotators", *output]

    ended = on_ranks(tmp_path / "streams", run_split, command("two.csv"))
    assert [end.code for end in ended] == [0, 0], ended[0].err + ended[1].err
    dcpc(*command("one.csv"))
    one, two = (pd.read_csv(tmp_path / name) for name in ("one.csv", "two.csv"))
    pd.testing.assert_frame_equal(one, two, atol=1e-6, rtol=0)


def test_figures_of_two_processes_are_those_of_one(adapter, reviews, dcpc, tmp_path) -> None:
    command = ["evaluate", str(adapter), str(reviews), "--batch-size", "5"]
    ended = on_ranks(tmp_path, run, command)
    assert [end.code for end in ended] == [0, 0], ended[0].err + ended[1].err
    assert ended[1].out == ended[1].err == ""
    figures = [re.findall(r"(\w+) +([\d.]+|–) *$", out, re.M) for out in (ended[0].out, dcpc(*command).out)]
    assert figures[0] == figures[1]
    assert len(figures[0]) > 5


def test_the_output_that_is_there_already_is_told_once(adapter, reviews, tmp_path) -> None:
    (tmp_path / "out.csv").write_text("kept")
    command = ["predict", str(adapter), str(reviews), "--output", str(tmp_path / "out.csv")]
    ended = on_ranks(tmp_path / "streams", run, command)
    assert len(said(ended)) == 1
    assert "the output is there already" in said(ended)[0]
    assert all(end.code for end in ended)
    assert (tmp_path / "out.csv").read_text() == "kept"


def test_a_machine_without_the_data_says_so_alone(words, reviews, tmp_path) -> None:
    ended = on_ranks(
        tmp_path / "streams", only_the_second_lacks, str(reviews), [*words, "num_train_epochs=1"]
    )
    assert all(end.code for end in ended)
    assert len(said(ended)) == 1
    assert "no such file" in said([ended[1]])[0]
    assert "Said by rank 1 of 2" in ended[1].err
    assert [path.name for path in tmp_path.iterdir()] == ["streams"]


def test_a_batch_that_does_not_come_out_even_is_told_once(words, tmp_path) -> None:
    split = ["accelerator_config={split_batches: true}", "--set", "per_device_train_batch_size=5"]
    ended = on_ranks(tmp_path / "streams", run, [*words, *split])
    assert [end.code for end in ended] == [2, 2]
    assert len(said(ended)) == 1
    assert "2 processes share batches of 5 items" in said(ended)[0]
    assert [path.name for path in tmp_path.iterdir()] == ["streams"]


@pytest.mark.parametrize("split", [False, True])
def test_a_process_that_dies_ends_the_others_with_a_message_and_a_way_to_go_on(
    words, tmp_path, split
) -> None:
    given = [*words, "num_train_epochs=3", "--set", "per_device_train_batch_size=4"]
    given += ["--set", "fsdp=true"] if split else []
    ended = on_ranks(tmp_path / "streams", run_and_die, given)
    assert ended[1].code == -signal.SIGKILL
    assert ended[0].code == 1
    assert len(said(ended)) == 1
    assert "another process of this training has ended" in said(ended)[0]
    assert "--resume goes on from them" in ended[0].err
    assert {path.name for path in tmp_path.iterdir()} == {"streams", "adapter-checkpoints"}
    again = on_ranks(tmp_path / "again", run, [*given, "--resume"])
    assert [end.code for end in again] == [0, 0], again[0].err + again[1].err
    assert "Going on from checkpoint-3" in again[0].err
    assert {path.name for path in tmp_path.iterdir()} == {"streams", "again", "adapter"}


def test_the_base_model_is_split_where_settings_say_so(words, tmp_path: Path) -> None:
    ended = on_ranks(tmp_path / "streams", run, [*words, "num_train_epochs=1", "--set", "fsdp=true"])
    assert [end.code for end in ended] == [0, 0], ended[0].err + ended[1].err
    assert ended[1].out == ended[1].err == ""
    assert {path.name for path in tmp_path.iterdir()} == {"streams", "adapter"}


def test_what_is_written_is_for_one_process(words, tmp_path: Path) -> None:
    ended = on_ranks(tmp_path / "streams", run, [*words, "num_train_epochs=1", "--task", "write"])
    assert [end.code for end in ended] == [2, 2]
    assert len(said(ended)) == 1
    assert "it works in one" in said(ended)[0]
