"""Runs that were killed: what they leave is removed by the next run of the same output, and by nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dcpc.files import LAST, MANIFEST, UNFINISHED, atomic_file, atomic_folder, is_full
from dcpc.leftovers import beside, owner
from dcpc.training.checkpoints import RUN_FILE, Checkpoints

pytestmark = pytest.mark.skipif(os.name != "posix", reason="processes are killed")

KILLED = """
import os, signal, sys
from pathlib import Path
from dcpc.files import atomic_file, atomic_folder
target, how = Path(sys.argv[1]), sys.argv[2]
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
if how == "file":
    with atomic_file(target) as path:
        path.write_text("half"); die()
if how == "folder":
    with atomic_folder(target, "train", force=True) as path:
        (path / "half").write_text("half"); die()
replace, moved = Path.replace, []
def slow(self, to):
    moved.append(to)
    if len(moved) == int(how): die()
    return replace(self, to)
Path.replace = slow
with atomic_folder(target, "train", force=True) as path:
    for name in ("adapter_config.json", "adapter_model.safetensors", "task.json"): (path / name).write_text("new")
"""


def kill(target: Path, how: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(target), how], check=False)
    assert done.returncode == -signal.SIGKILL


def write(target: Path, text: str = "new") -> None:
    with atomic_folder(target, "train", force=True) as path:
        for name in ("adapter_config.json", "adapter_model.safetensors", "task.json"):
            (path / name).write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_of_a_killed_run_is_removed_by_the_next(tmp_path: Path) -> None:
    kill(tmp_path / "p.csv", "file")
    assert len(names(tmp_path)) == 1
    with atomic_file(tmp_path / "other.csv") as path:
        path.write_text("")
    assert len(names(tmp_path)) == 2  # another output's
    with atomic_file(tmp_path / "p.csv") as path:
        path.write_text("whole")
    assert names(tmp_path) == ["other.csv", "p.csv"]


def test_a_folder_of_a_killed_run_is_removed_by_the_next(tmp_path: Path) -> None:
    kill(tmp_path / "run", "folder")
    assert len(names(tmp_path)) == 1
    write(tmp_path / "run")
    assert names(tmp_path) == ["run"]


def test_within_a_folder_that_is_there_too(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    kill(tmp_path / "run", "folder")
    assert names(tmp_path / "run")[0].startswith(UNFINISHED)
    write(tmp_path / "run")
    assert names(tmp_path / "run") == [
        MANIFEST,
        "adapter_config.json",
        "adapter_model.safetensors",
        "task.json",
    ]


@pytest.mark.parametrize("moves", range(1, 9))
def test_a_kill_amid_the_moves_can_be_replaced_by_force(tmp_path: Path, moves: int) -> None:
    write(tmp_path / "run", "old")
    kill(tmp_path / "run", str(moves))
    whole = (tmp_path / "run" / LAST[0]).exists()
    assert not whole or (tmp_path / "run" / "task.json").exists()  # never taken for finished
    write(tmp_path / "run")
    assert names(tmp_path / "run") == [
        MANIFEST,
        "adapter_config.json",
        "adapter_model.safetensors",
        "task.json",
    ]
    assert (tmp_path / "run" / "task.json").read_text() == "new"


def test_what_a_running_process_writes_stays(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "p.csv") as first:
        with atomic_file(tmp_path / "p.csv") as second:
            second.write_text("second")
        first.write_text("first")
    assert (tmp_path / "p.csv").read_text() == "first"
    running = tmp_path / f"{beside('p.csv')}{owner().rpartition('-')[0].rpartition('-')[0]}-1-x"
    running.write_text("of process 1, which is not ours to ask")
    with atomic_file(tmp_path / "p.csv") as path:
        path.write_text("")
    assert running.exists()


def test_files_of_other_names_and_machines_stay(tmp_path: Path) -> None:
    for name in (".p.csv.swp", ".p.csv.abc123", ".p.csv.elsewhere-999999999-x.csv", "p.csv.bak"):
        (tmp_path / name).write_text("not ours")
    before = names(tmp_path)
    with atomic_file(tmp_path / "p.csv") as path:
        path.write_text("")
    assert names(tmp_path) == sorted([*before, "p.csv"])


def test_a_finished_folder_that_was_not_moved_stays(tmp_path: Path) -> None:
    kill(tmp_path / "run", "folder")
    left = next(tmp_path.iterdir())
    (left / MANIFEST).write_text("{}")
    write(tmp_path / "run")
    assert left.is_dir()


def test_checkpoints_go_on_after_a_kill_while_they_began(tmp_path: Path) -> None:
    folder = tmp_path / "run-checkpoints"
    folder.mkdir()
    kill(folder / RUN_FILE, "file")
    Checkpoints(tmp_path / "run").check(resume=True, force=False)
    assert names(folder) == []


@pytest.mark.parametrize("where", ["device", "limit"])
def test_a_full_disk_within_a_torch_checkpoint_is_told_as_one(tmp_path: Path, where: str) -> None:
    code = (
        "import resource, signal, sys, torch\n"
        "from dcpc.files import is_full\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "if sys.argv[2] == 'limit': resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: torch.save({'a': torch.zeros(1_000_000)}, sys.argv[1])\n"
        "except Exception as error: sys.exit(0 if is_full(error) else str(error))\n"
        "sys.exit('it was written')"
    )
    if where == "device" and not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    target = "/dev/full" if where == "device" else str(tmp_path / "x.pt")
    done = subprocess.run(
        [sys.executable, "-c", code, target, where], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_other_errors_of_torch_are_no_full_disk() -> None:
    assert not is_full(RuntimeError("PytorchStreamReader failed reading zip archive"))
    assert not is_full(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
