"""`dcpc train` and a Ctrl-C: what is kept, what is said, and how it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
from transformers import TrainerCallback

from dcpc import fit
from dcpc.tuner.config import PRESETS

EPOCHS = ("--set", "num_train_epochs=3")


class _Stop(TrainerCallback):
    """A Ctrl-C at the end of an epoch, once its checkpoint is written."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_epoch_begin(self, args, state, control, **kwargs) -> None:
        if state.epoch is not None and round(state.epoch) == self.epoch:
            raise KeyboardInterrupt


@pytest.fixture
def stopping(monkeypatch):
    """`stopping(epoch)` makes trainings stop there; `stopping(None)` lets them end."""
    train_adapter = fit.train_adapter

    def stop_at(epoch: int | None) -> None:
        callbacks = [] if epoch is None else [_Stop(epoch)]
        monkeypatch.setattr(fit, "train_adapter", lambda *a, **k: train_adapter(*a, **k, callbacks=callbacks))

    return stop_at


@pytest.fixture
def train(dcpc, reviews, tiny_bert, tmp_path):
    def run(*more: object, output: Path = tmp_path / "adapter"):
        return dcpc("train", reviews, "--model", tiny_bert, "--output", output, *EPOCHS, *more)

    return run


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("checkpoint-*"))


def test_a_stop_says_in_one_line_where_the_checkpoints_are(train, stopping, tmp_path) -> None:
    stopping(2)
    result = train()
    assert result.code == 130
    message = result.err.splitlines()[-1]
    assert "Stopped. Checkpoints are in " in message
    assert f"{tmp_path / 'adapter-checkpoints'}" in message
    assert "--resume" in message
    assert [path.name for path in tmp_path.iterdir()] == ["adapter-checkpoints"]


def test_a_stop_before_the_first_checkpoint_leaves_nothing(train, stopping, tmp_path) -> None:
    stopping(0)
    result = train()
    assert result.code == 130
    assert "No checkpoint had been written yet" in result.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["predict", "evaluate", "inspect"])
def test_other_commands_stop_with_one_line_too(dcpc, reviews, tmp_path, monkeypatch, command) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dcpc.data.readers.read_annotations", stop)
    monkeypatch.setattr("dcpc.task.Task.read", stop)
    monkeypatch.setattr("dcpc.adapter.load_adapter", stop)
    folder = tmp_path / "adapter"
    folder.mkdir()
    first = {"inspect": [reviews], "evaluate": [folder, reviews], "predict": [folder, reviews]}[command]
    more = [] if command == "evaluate" else ["--output", tmp_path / "out.csv"]
    result = dcpc(command, *first, *more)
    assert (result.code, result.err.strip().splitlines()[-1]) == (130, "Stopped.")


def test_resuming_ends_where_an_unbroken_training_ends(train, stopping, tmp_path) -> None:
    assert train(output=tmp_path / "unbroken").code == 0
    stopping(2)
    assert train().code == 130
    stopping(None)
    result = train("--resume")
    assert result.code == 0, result.err
    assert "Going on from checkpoint-2" in result.err
    assert not (tmp_path / "adapter-checkpoints").exists()
    whole, resumed = (load_file(tmp_path / n / "adapter_model.safetensors") for n in ("unbroken", "adapter"))
    assert all(tensor.allclose(resumed[name], atol=1e-6) for name, tensor in whole.items())


def test_a_second_start_needs_a_word(train, stopping, tmp_path) -> None:
    stopping(2)
    train()
    before = checkpoints(tmp_path / "adapter-checkpoints")
    stopping(None)
    result = train()
    assert result.code == 2
    assert "--resume goes on" in result.err
    assert checkpoints(tmp_path / "adapter-checkpoints") == before
    assert train("--force").code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_a_folder_of_the_user_is_neither_deleted_nor_written_to(train, tmp_path) -> None:
    mine = tmp_path / "adapter-checkpoints"
    mine.mkdir()
    (mine / "thesis.tex").write_text("mine")
    for flags in ((), ("--force",), ("--resume",)):
        assert train(*flags).code == 2
    assert [path.name for path in mine.iterdir()] == ["thesis.tex"]
    assert not (tmp_path / "adapter").exists()


def test_resuming_without_checkpoints_says_that_it_starts_anew(train) -> None:
    result = train("--resume")
    assert result.code == 0, result.err
    assert "from the beginning" in result.err


def test_a_checkpoint_that_is_cut_off_is_passed_over(train, stopping, tmp_path) -> None:
    stopping(2)
    train("--set", "save_total_limit=2")
    last = tmp_path / "adapter-checkpoints" / "checkpoint-2"
    (last / "optimizer.pt").write_bytes((last / "optimizer.pt").read_bytes()[:100])
    stopping(None)
    result = train("--resume", "--set", "save_total_limit=2")
    assert result.code == 0, result.err
    assert "checkpoint-2 was cut off" in result.err
    assert "Going on from checkpoint-1" in result.err


@pytest.mark.parametrize("gone", [True, False])
def test_a_checkpoint_whose_best_weights_are_lost_is_passed_over(train, stopping, tmp_path, gone) -> None:
    stopping(2)
    worse = (
        "--set",
        "learning_rate=1.0",
        "--set",
        "save_total_limit=2",
    )  # so that the first epoch is the best
    train(*worse)
    folder = tmp_path / "adapter-checkpoints"
    state = json.loads((folder / "checkpoint-2" / "trainer_state.json").read_text())
    assert Path(state["best_model_checkpoint"]).name == "checkpoint-1"
    weights = folder / "checkpoint-1" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    if gone:
        weights.unlink()
    stopping(None)
    result = train("--resume", *worse)
    assert result.code == 0, result.err
    assert "checkpoint-2 needs the weights of checkpoint-1" in " ".join(result.err.split())
    assert "from the beginning" in result.err


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--method", "lora"], "method"),
        (["--labels", "yes,no"], "labels"),
        (["--set", "bottleneck=4"], "bottleneck"),
        (["--seed", "5"], "`seed` was 0, and now is 5"),
    ],
)
def test_resuming_with_something_else_is_refused(train, stopping, tmp_path, change, says) -> None:
    stopping(2)
    train()
    stopping(None)
    result = train("--resume", *change)
    assert result.code == 2
    assert says in result.err
    assert checkpoints(tmp_path / "adapter-checkpoints")


def test_checkpoints_of_another_default_are_refused(train, stopping, tmp_path, monkeypatch) -> None:
    """As after an upgrade: the same command is another training."""
    stopping(2)
    train()
    stopping(None)
    monkeypatch.setitem(PRESETS["default"], "bottleneck", 13)
    result = train("--resume")
    assert result.code == 2
    assert "`bottleneck` was 12, and now is 13" in result.err
    assert checkpoints(tmp_path / "adapter-checkpoints")


def test_checkpoints_say_what_they_were_trained_with(train, stopping, tmp_path) -> None:
    stopping(2)
    train()
    run = json.loads((tmp_path / "adapter-checkpoints" / "dcpc_run.json").read_text())
    assert (run["method"], run["labels"], run["num_train_epochs"]) == ("dcpc", ["no", "yes"], 3)
