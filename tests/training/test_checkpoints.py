"""The folder of checkpoints: nothing in it is lost without a word, and a training goes on only from its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dcpc.errors import UsageError
from dcpc.training.checkpoints import RUN_FILE, Checkpoints, describe_run, is_whole
from tiny_models import sentiment_judgements

RUN = {"data": "hash", "method": "dcpc", "learning_rate": 0.1}


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "run")


def write_checkpoint(checkpoints: Checkpoints, step: int) -> Path:
    folder = checkpoints.folder / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    save_file({"w": torch.zeros(8)}, folder / "adapter_model.safetensors")
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        torch.save({"state": 1}, folder / name)
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    return folder


def interrupted(checkpoints: Checkpoints, *steps: int) -> list[Path]:
    checkpoints.begin(RUN, resume=False, force=False)
    return [write_checkpoint(checkpoints, step) for step in steps]


def test_lies_beside_the_output(tmp_path, monkeypatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert Checkpoints(Path("run")).folder == tmp_path / "here" / "run-checkpoints"
    assert Checkpoints(Path()).folder == tmp_path / "here-checkpoints"


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("force", [False, True])
def test_a_folder_of_somebody_else_is_refused_and_kept(checkpoints, resume, force) -> None:
    checkpoints.folder.mkdir()
    (checkpoints.folder / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match=r"thesis\.tex"):
        checkpoints.begin(RUN, resume=resume, force=force)
    checkpoints.remove()
    checkpoints.remove_if_useless()
    assert (checkpoints.folder / "thesis.tex").read_text() == "mine"


def test_checkpoints_of_another_program_are_refused_and_kept(checkpoints) -> None:
    write_checkpoint(checkpoints, 5)
    with pytest.raises(UsageError, match="did not write"):
        checkpoints.begin(RUN, resume=False, force=True)
    assert len(checkpoints.found()) == 1


def test_what_was_put_beside_our_checkpoints_is_kept(checkpoints) -> None:
    interrupted(checkpoints, 5)
    (checkpoints.folder / "notes.txt").write_text("mine")
    checkpoints.remove()
    assert [path.name for path in checkpoints.folder.iterdir() if path.name != RUN_FILE] == ["notes.txt"]


def test_checkpoints_of_a_cut_off_run_need_a_word(checkpoints) -> None:
    interrupted(checkpoints, 5)
    with pytest.raises(UsageError, match="earlier training") as caught:
        checkpoints.begin(RUN, resume=False, force=False)
    assert "--resume" in str(caught.value)
    assert "--force" in str(caught.value)
    assert len(checkpoints.found()) == 1
    assert checkpoints.begin(RUN, resume=False, force=True) == (None, [])
    assert checkpoints.found() == []


def test_nobody_is_told_to_resume_what_another_training_writes(checkpoints) -> None:
    interrupted(checkpoints, 5)
    with (
        Checkpoints(checkpoints.folder.with_name("run")).locked(),
        pytest.raises(UsageError, match="another training") as caught,
    ):
        checkpoints.check_free(resume=False, force=False)
    assert "--force" not in str(caught.value)
    with pytest.raises(UsageError, match="earlier training"):  # which has ended by now
        checkpoints.check_free(resume=False, force=False)
    checkpoints.check_free(resume=True, force=False)


def test_goes_on_from_the_newest(checkpoints) -> None:
    interrupted(checkpoints, 9, 10, 5)
    checkpoint, notes = checkpoints.begin(RUN, resume=True, force=False)
    assert checkpoint is not None
    assert checkpoint.name == "checkpoint-10"
    assert notes == ["Going on from checkpoint-10."]


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "optimizer.pt", "trainer_state.json"])
@pytest.mark.parametrize("cut", [True, False])
def test_goes_on_from_the_one_before_where_the_last_is_cut_off(checkpoints, file, cut) -> None:
    _, last = interrupted(checkpoints, 5, 10)
    content = (last / file).read_bytes()
    (last / file).unlink()
    if cut:
        (last / file).write_bytes(content[: len(content) // 2])
    assert not is_whole(last)
    checkpoint, notes = checkpoints.begin(RUN, resume=True, force=False)
    assert checkpoint is not None
    assert checkpoint.name == "checkpoint-5"
    assert "checkpoint-10 was cut off" in notes[0]


@pytest.mark.parametrize("broken", [False, True])
def test_says_that_it_starts_from_the_beginning(checkpoints, broken) -> None:
    if broken:
        (interrupted(checkpoints, 5)[0] / "optimizer.pt").unlink()
    checkpoint, notes = checkpoints.begin(RUN, resume=True, force=False)
    assert checkpoint is None
    assert "from the beginning" in notes[-1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"method": "lora"}, '`method` was "dcpc", and now is "lora"'),
        ({"learning_rate": 1.0}, "`learning_rate` was 0.1, and now is 1.0"),
        ({"data": "other"}, "the judgements to train on are others"),
        ({"rank": 4}, "`rank` was not given, and now is 4"),
    ],
)
def test_goes_on_only_with_what_it_was_given(checkpoints, change, says) -> None:
    interrupted(checkpoints, 5)
    with pytest.raises(UsageError, match=says):
        checkpoints.begin({**RUN, **change}, resume=True, force=False)
    assert len(checkpoints.found()) == 1


def test_a_setting_that_is_left_out_is_another_training(checkpoints) -> None:
    interrupted(checkpoints, 5)
    with pytest.raises(UsageError, match="now is not given"):
        checkpoints.begin({"data": "hash", "method": "dcpc"}, resume=True, force=False)


def test_a_training_without_a_checkpoint_leaves_no_folder(checkpoints) -> None:
    checkpoints.begin(RUN, resume=False, force=False)
    checkpoints.remove_if_useless()
    assert not checkpoints.folder.exists()
    assert "No checkpoint" in checkpoints.how_to_go_on()


def test_a_training_with_a_checkpoint_keeps_it_and_says_how_to_go_on(checkpoints) -> None:
    interrupted(checkpoints, 5)
    checkpoints.remove_if_useless()
    assert len(checkpoints.found()) == 1
    assert str(checkpoints.folder) in checkpoints.how_to_go_on()
    assert "--resume" in checkpoints.how_to_go_on()


def test_the_description_tells_trainings_apart_but_not_how_they_are_watched() -> None:
    data = sentiment_judgements(8)
    same = describe_run(data, None, {"method": "dcpc", "training": {"seed": 1, "logging_steps": 1}})
    assert same == describe_run(data, None, {"method": "dcpc", "training": {"seed": 1, "logging_steps": 9}})
    others = [
        describe_run(data, data, {"method": "dcpc", "training": {"seed": 1}}),
        describe_run(data, None, {"method": "dcpc", "training": {"seed": 2}}),
        describe_run(data.where(data.label_codes >= 0), None, {"method": "lora", "training": {"seed": 1}}),
        describe_run(data.where(data.item_codes > 0), None, {"method": "dcpc", "training": {"seed": 1}}),
    ]
    assert all(other != same for other in others)


def test_a_link_to_a_folder_stays(checkpoints, tmp_path) -> None:
    (tmp_path / "disk").mkdir()
    checkpoints.folder.symlink_to(tmp_path / "disk")
    interrupted(checkpoints, 5)
    checkpoints.remove()
    assert checkpoints.folder.is_symlink()
    assert list((tmp_path / "disk").iterdir()) == []
