"""`dcpc train --task write`, and predicting and evaluating with what it wrote."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dcpc.cli import main
from tiny_models import save_tiny_bert
from tiny_writers import save_tiny_llama, two_styles


def run(*arguments: object) -> int:
    """The exit code of the command."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base model, replies, prompts, and an adapter that the command trained."""
    folder = tmp_path_factory.mktemp("write")
    save_tiny_llama(folder / "llama")
    table = two_styles(8).table
    rows = table.assign(text=[prompt[0]["content"] for prompt in table["prompt"]]).drop(columns="prompt")
    rows.to_json(folder / "replies.jsonl", orient="records", lines=True)
    pd.DataFrame({"text": ["say 3", "say 9", "say 3"]}).to_csv(folder / "prompts.csv", index=False)
    (folder / "recipe.yaml").write_text(
        f"model: {folder / 'llama'}\ntask: {{name: write, system: Be kind.}}\nmax_length: 80\n"
        "training: {num_train_epochs: 15, learning_rate: 0.02, use_cpu: true}\nadapter: {rank: 8}\n"
    )
    assert train(folder, folder / "adapter") == 0
    return folder


def train(folder: Path, output: Path, *more: object) -> int:
    return run(
        "train", folder / "replies.jsonl", "--recipe", folder / "recipe.yaml", "--output", output, *more
    )


def test_the_adapter_knows_its_task(workspace: Path) -> None:
    task = json.loads((workspace / "adapter" / "task.json").read_text())
    assert (task["task"], task["system"], task["max_length"]) == ("write", "Be kind.", 80)
    assert task["writers"] == ["loud", "soft"]


def test_every_writers_reply_and_the_dominant_one(workspace: Path, tmp_path: Path) -> None:
    adapter, prompts = workspace / "adapter", workspace / "prompts.csv"
    settings = ("--max-new-tokens", 20)
    assert (
        run("predict", adapter, prompts, "--output", tmp_path / "a.csv", "--as", "annotators", *settings) == 0
    )
    table = pd.read_csv(tmp_path / "a.csv", keep_default_na=False)
    assert list(table) == ["row", "item_id", "text", "annotator_id", "response"]
    assert table["annotator_id"].tolist() == ["loud", "soft"] * 3
    assert table["response"][:2].tolist() == table["response"][4:].tolist()
    assert (table["response"][::2].to_numpy() != table["response"][1::2].to_numpy()).all()
    assert run("predict", adapter, prompts, "--output", tmp_path / "c.jsonl") == 0, "as long as there is room"
    assert len(pd.read_json(tmp_path / "c.jsonl", lines=True)) == 3


def test_figures_of_held_out_replies(workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = ("evaluate", workspace / "adapter", workspace / "replies.jsonl", "--max-new-tokens", 20)
    assert run(*arguments, "--output", tmp_path / "figures.json") == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["n_replies"] == 16
    assert figures["nll"] < figures["nll_dominant"]
    assert set(figures["writers"]) == {"loud", "soft"}
    assert figures["style_accuracy"] > 0.8
    assert 0 < figures["chrf"] <= 100
    assert "style: right by a classifier" in capsys.readouterr().out
    assert run(*arguments[:-2], "--no-generate") == 0
    assert " chrF " not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("predict", "adapter", "prompts.csv", "--output", "x.csv", "--as", "distribution"), "distribution"),
        (("predict", "adapter", "prompts.csv", "--output", "x.csv", "--max-new-tokens", 80), "--max-new-tokens 40"),
        (("predict", "adapter", "prompts.csv", "--output", "x.csv", "--top-p", 2), "top_p"),
        (("predict", "nowhere", "prompts.csv", "--output", "x.csv", "--top-p", 1), "no such adapter folder"),
        (("train", "replies.jsonl", "--output", "new", "--task", "wirte", "--model", "llama"), "no task"),
        (("train", "replies.jsonl", "--output", "new", "--task", "write", "--model", "bert"), "language head"),
        (
            ("train", "replies.jsonl", "--output", "new", "--task", "write", "--model", "llama", "--labels", "a"),
            "--labels` has no effect",
        ),
        (
            ("train", "replies.jsonl", "--output", "new", "--task", "write", "--model", "llama", "--preset", "paper"),
            "terms over pairs",
        ),
        (
            ("train", "replies.jsonl", "--output=new", "--task=write", "--model=llama", "--set=demonstrations=2"),
            "demonstrations are prompts",
        ),
        (
            ("train", "replies.jsonl", "--output", "new", "--model", "llama", "--task=write", "--method=p-tuning-v2"),
            "no method `p-tuning-v2` for writing",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_makes_no_sense_is_refused(
    workspace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    command: tuple[Any, ...],
    message: str,
) -> None:
    if not (workspace / "bert").exists():
        save_tiny_bert(workspace / "bert")
    monkeypatch.chdir(workspace)
    assert run(*command) in (1, 2)
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (workspace / "new").exists()
    assert not list(workspace.glob("new-checkpoints"))


def test_a_training_goes_on_where_it_was_cut_off(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dcpc.tasks.write.training import WritingTrainer

    whole = WritingTrainer.training_step

    def stopping(self: WritingTrainer, *arguments: Any, **given: Any) -> Any:
        if self.state.global_step == 3:
            raise KeyboardInterrupt
        return whole(self, *arguments, **given)

    settings = ("--set", "num_train_epochs=3", "--set", "per_device_train_batch_size=6")
    assert train(workspace, tmp_path / "straight", *settings) == 0
    monkeypatch.setattr(WritingTrainer, "training_step", stopping)
    assert train(workspace, tmp_path / "cut", *settings) == 130
    monkeypatch.setattr(WritingTrainer, "training_step", whole)
    assert train(workspace, tmp_path / "cut", *settings, "--resume") == 0
    name = "adapter_model.safetensors"
    assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()
    assert not (tmp_path / "cut-checkpoints").exists()


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
def test_an_altered_adapter_is_refused(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture, name: str
) -> None:
    shutil.copytree(workspace / "adapter", tmp_path / "adapter")
    content = bytearray((tmp_path / "adapter" / name).read_bytes())
    content[-2] ^= 1
    (tmp_path / "adapter" / name).write_bytes(content)
    assert (
        run("predict", tmp_path / "adapter", workspace / "prompts.csv", "--output", tmp_path / "x.csv") == 1
    )
    assert f"{name}: the file is not the one that was saved" in " ".join(capsys.readouterr().err.split())
