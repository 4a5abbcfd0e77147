"""Options that several subcommands share."""

from __future__ import annotations

import pytest

from dcpc import __version__
from dcpc.cli import options
from dcpc.data.readers import FORMATS
from dcpc.data.readers.assemble import OUR_COLUMNS


def test_the_help_lists_every_format_and_column() -> None:
    assert list(options.FORMAT_NAMES) == list(FORMATS)
    assert {*options.COLUMN_KEYS} == {*OUR_COLUMNS, "annotators", "labels"}


@pytest.mark.parametrize("command", ["train", "inspect"])
def test_a_negative_seed_is_wrong_usage(dcpc, command) -> None:
    result = dcpc(command, "data.csv", "--output", "out.csv", "--seed", -1)
    assert result.code == 2
    assert "--seed" in result.err


def test_notes_keep_what_stands_in_brackets(capsys) -> None:
    options.show_notes(["Kept as a label: [red]."])
    assert "[red]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("1,2, 3", ["1", "2", "3"]),
        ('"yes, really",no', ["yes, really", "no"]),
        ('no, "yes, really"', ["no", "yes, really"]),
        ("it's,so", ["it's", "so"]),
        ("", [""]),
        (None, None),
    ],
)
def test_a_label_with_a_comma_stands_in_quotes(text, labels) -> None:
    assert options.parse_list(text) == labels


def test_a_world_without_ranks_is_refused_before_anything_is_written(dcpc, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = dcpc("train", "data.csv", "--model", "minilm", "--output", tmp_path / "out")
    assert result.code == 2
    assert "2 processes were started, but RANK is not set" in result.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ("inspect", "data.csv", "--output", "out"),
        ("convert", "data.csv", "out.csv"),
        ("export", "adapter", "--as", "lora", "--output", "out"),
        ("adapt", "adapter", "few.csv", "--output", "out"),
        ("reward", "adapter", "data.csv", "--output", "out.csv"),
    ],
    ids=lambda words: words[0],
)
def test_what_works_in_one_process_refuses_several(dcpc, monkeypatch, words) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = dcpc(*words)
    assert result.code == 2
    assert f"dcpc {words[0]} was started as 2 processes, and it works in one" in result.err


def test_a_push_is_refused_before_the_training_where_the_hub_is_off(dcpc, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    given = ("train", "data.csv", "--model", "minilm", "--output", tmp_path / "out", "--push-to-hub")
    result = dcpc(*given, "anna/judge")
    assert result.code == 2
    assert "HF_HUB_OFFLINE switches it off" in result.err
    assert "no name of a repository" in dcpc(*given, "a/b/c").err


def test_the_version_is_told(dcpc) -> None:
    result = dcpc("--version")
    assert (result.code, result.out.strip()) == (0, f"dcpc {__version__}")
