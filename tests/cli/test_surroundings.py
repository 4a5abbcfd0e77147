"""Signals, terminals of few letters, readers who leave, full disks: what they do to a command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors import SafetensorError

HEAD = """
import sys, time
from pathlib import Path
import typer
from rich.console import Console
from dcpc import cli
from dcpc.files import atomic_file, atomic_folder

app = typer.Typer()
here = Path(sys.argv[1])

@app.command()
@cli._stoppable
def command() -> None:
"""
WRITES = """
    with atomic_file(here / "out.csv") as file, atomic_folder(here / "out", "train") as folder:
        file.write_text("half")
        (folder / "half").write_text("half")
        (here / "begun").touch()
        time.sleep(60)
"""
PRINTS = """
    console = Console(soft_wrap=True)
    for _ in range(5000):
        console.print("\\u2212 \\u65e5\\u672c")
    with atomic_file(here / "out.csv") as file:
        file.write_text("whole")
    console.print("done")
"""
FILLS = """
    raise OSError(28, "No space left on device", "here.bin")
"""


def start(folder: Path, body: str, **environment: str) -> subprocess.Popen[str]:
    script = folder / "command.py"
    script.write_text(f"{HEAD}{body}\ncli.run(app, [])\n")
    return subprocess.Popen(
        [sys.executable, str(script), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        preexec_fn=_hear_signals,
    )


def _hear_signals() -> None:
    """What runs the tests may ignore them, as `nohup` does, and a child would take that over."""
    for number in (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path, WRITES)
    until = time.monotonic() + 60
    while not (tmp_path / "begun").exists() and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert err.startswith("Stopped.")
    assert "Traceback" not in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["begun", "command.py"]


def test_signals_are_as_they_were_after_a_command() -> None:
    from dcpc.cli.surroundings import ends_cleanly

    before = signal.getsignal(signal.SIGTERM)
    with ends_cleanly():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGHUP")
def test_a_signal_that_is_ignored_stays_so() -> None:
    from dcpc.cli.surroundings import ends_cleanly

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ends_cleanly():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1"])
def test_letters_that_a_terminal_lacks_are_spelt_out(tmp_path: Path, encoding: str) -> None:
    process = start(tmp_path, PRINTS, PYTHONIOENCODING=encoding)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.startswith("\\u2212 \\u65e5\\u672c")
    assert (tmp_path / "out.csv").read_text() == "whole"


def test_a_reader_who_leaves_ends_no_work(tmp_path: Path) -> None:
    process = start(tmp_path, PRINTS)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    assert (process.wait(timeout=60), err) == (0, "")
    assert (tmp_path / "out.csv").read_text() == "whole"


def test_a_full_disk_is_one_message(tmp_path: Path) -> None:
    process = start(tmp_path, FILLS)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.startswith("Error: here.bin: cannot write (No space left on device).")
    assert "Traceback" not in err


def test_inspect_writes_its_page_whatever_the_terminal(tmp_path: Path) -> None:
    rows = [f"{i},日本語 {i},ä{who},{'好悪'[(i + who) % 2]}" for i in range(6) for who in range(3)]
    data = tmp_path / "data.csv"
    data.write_text("item_id,text,annotator_id,label\n" + "\n".join(rows), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "dcpc", "inspect", str(data), "--no-pairs", "--output", str(tmp_path / "out")],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "\\u" in done.stdout
    assert "日本語" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_cache_that_was_asked_for_and_cannot_be_is_told_before_the_work(dcpc, reviews, tmp_path) -> None:
    (tmp_path / "cache").write_text("in the way")
    result = dcpc("inspect", reviews, "--output", tmp_path / "out", "--cache", tmp_path / "cache")
    assert result.code == 2
    assert "a folder is needed" in result.err
    assert not (tmp_path / "out").exists()


def test_a_full_disk_at_the_end_of_a_training_keeps_its_checkpoints(
    dcpc, reviews, tiny_bert, tmp_path, monkeypatch
) -> None:
    def full(*_: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    command = ("train", reviews, "--model", tiny_bert, "--set", "num_train_epochs=1", "--output")
    with monkeypatch.context() as patch:
        patch.setattr("dcpc.task.Task.write", full)
        result = dcpc(*command, tmp_path / "adapter")
    assert result.code == 1
    assert "No space left on device" in result.err
    assert "--resume goes on" in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["adapter-checkpoints"]
    assert dcpc(*command, tmp_path / "adapter", "--resume").code == 0
    assert (tmp_path / "adapter" / "adapter_model.safetensors").exists()
