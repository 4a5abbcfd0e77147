"""The demo: a suite of its own on the benchmark's runner, and a sentence about the winner."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from fake_methods import FakeMethod, install
from rich.console import Console

from dcpc.errors import UsageError
from dcpc_bench.cli.demo import run_demo, winner_statement
from dcpc_bench.report.comparisons import Difference
from dcpc_bench.rig.store import Store
from dcpc_bench.statistics.significance import Comparison


def statement(ours: float, lora: float, interval: tuple[float, float]) -> str:
    differences = [
        Difference(other, None, Comparison(ours - mean, *bounds, 0.04, 3), 0.04, 1, 0.0)
        for other, mean, bounds in (("p-tuning-v2", 0.5, (0.1, 0.5)), ("lora", lora, interval))
    ]
    return winner_statement({"p-tuning-v2": 0.5, "lora": lora, "dcpc": ours}, differences, "dcpc")


def test_a_clear_win_is_called_a_win():
    text = statement(0.9, 0.85, (0.01, 0.09))
    assert text.startswith("dcpc won")
    assert "90.0 %" in text
    assert "+5.0 points, 95 % interval +1.0 to +9.0 points" in text


def test_a_lead_within_the_interval_is_not_called_a_win():
    text = statement(0.87, 0.85, (-0.02, 0.06))
    assert "dcpc won" not in text
    assert "its lead over lora is within the range of luck" in text


def test_a_loss_is_said_first():
    text = statement(0.8, 0.85, (-0.09, -0.01))
    assert text.startswith("dcpc did not win: lora is ahead")
    assert "luck" not in text


def test_a_narrow_loss_says_that_it_may_be_luck():
    assert "may be luck" in statement(0.84, 0.85, (-0.05, 0.03))


def test_a_tie_is_no_win():
    assert statement(0.85, 0.85, (-0.02, 0.02)).startswith("dcpc did not win: it and lora tie")


def test_it_runs_its_suite_without_a_search_and_says_who_won(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log.txt"
    install(monkeypatch, *(FakeMethod(name, log=log) for name in ("p-tuning-v2", "lora", "dcpc")))
    shown = io.StringIO()
    run_demo(tmp_path / "out", 2, 48, 0, Console(file=shown, width=120))
    assert "of the clean test labels right" in " ".join(shown.getvalue().split())
    rates = {line.rsplit(" ", 2)[0] for line in log.read_text().splitlines()}
    assert rates == {"p-tuning-v2 0.01", "lora 0.003", "dcpc 0.01"}
    assert len(log.read_text().splitlines()) == 2 * 3  # cells alone
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"report.html", "results.md", "results.parquet", "cells.parquet"} <= names
    split = next(r for r in Store(tmp_path / "out").records().values() if r["kind"] == "split")
    assert split["train_items"] == split["train_judgements"] == 48
    run_demo(tmp_path / "out", 2, 48, 0, Console(file=shown))  # nothing is left to run
    assert len(log.read_text().splitlines()) == 2 * 3


def test_a_folder_of_something_else_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, *(FakeMethod(name) for name in ("p-tuning-v2", "lora", "dcpc")))
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        run_demo(tmp_path, 1, 48, 0, Console(quiet=True))
    assert (tmp_path / "kept.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]
