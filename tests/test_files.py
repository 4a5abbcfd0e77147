"""Output appears whole or not at all, and nothing is left beside it."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path

import pytest
from safetensors import SafetensorError

from dcpc.errors import OutputError, UsageError
from dcpc.files import MANIFEST, atomic_file, atomic_folder, check_output_file, check_output_folder


class _Crash(BaseException):
    """Stands for anything, an interrupt by the user too."""


@pytest.fixture
def usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def write_and_raise(path: Path, error: type[BaseException]) -> None:
    path.write_text("half")
    raise error


def fill(files: dict[Path, str]) -> None:
    for path, text in files.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def own_output(folder: Path) -> None:
    with atomic_folder(folder, "train") as temporary:
        fill({temporary / "old": "old", temporary / "deep" / "old": "deep"})


def contents(folder: Path) -> dict[str, str]:
    """Texts of all files but manifests."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MANIFEST)
    return {str(path.relative_to(folder)): path.read_text() for path in files}


class TestFile:
    def test_is_written_with_its_parent_folders(self, tmp_path):
        with atomic_file(tmp_path / "a" / "b" / "out.csv") as temporary:
            assert temporary.suffix == ".csv"  # libraries choose the format by it
            temporary.write_text("new")
            assert not (tmp_path / "a" / "b" / "out.csv").exists()
        assert contents(tmp_path) == {"a/b/out.csv": "new"}

    @pytest.mark.parametrize("before", [{}, {"out.csv": "old"}])
    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, _Crash])
    def test_an_error_leaves_everything_as_it_was(self, tmp_path, before, error):
        for name, text in before.items():
            (tmp_path / name).write_text(text)
        with pytest.raises(error), atomic_file(tmp_path / "out.csv") as temporary:
            write_and_raise(temporary, error)
        assert contents(tmp_path) == before

    def test_replaces_an_older_file(self, tmp_path):
        (tmp_path / "out.csv").write_text("old")
        with atomic_file(str(tmp_path / "out.csv")) as temporary:
            temporary.write_text("new")
        assert contents(tmp_path) == {"out.csv": "new"}

    def test_a_block_that_moves_the_file_away_is_no_success(self, tmp_path):
        with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "out.csv") as temporary:
            temporary.unlink()
        assert contents(tmp_path) == {}

    def test_gets_the_usual_permissions(self, tmp_path, usual_umask):
        with atomic_file(tmp_path / "out.csv") as temporary:
            assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "out.csv").stat().st_mode) == 0o644

    def test_a_file_in_the_place_of_a_folder_is_bad_usage(self, tmp_path):
        (tmp_path / "taken").write_text("a file")
        with (
            pytest.raises(UsageError, match="cannot write here"),
            atomic_file(tmp_path / "taken" / "out.csv"),
        ):
            pytest.fail("the block must not run")
        assert contents(tmp_path) == {"taken": "a file"}

    def test_a_device_is_refused(self):
        with pytest.raises(UsageError, match="device"), atomic_file(os.devnull):
            pytest.fail("the block must not run")

    def test_a_link_to_a_file_stays_a_link(self, tmp_path):
        (tmp_path / "link.csv").symlink_to(tmp_path / "out.csv")
        with atomic_file(tmp_path / "link.csv") as temporary:
            temporary.write_text("new")
        assert (tmp_path / "link.csv").is_symlink()
        assert (tmp_path / "out.csv").read_text() == "new"

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_without_permission_is_bad_usage(self, tmp_path):
        tmp_path.chmod(0o500)
        with pytest.raises(UsageError, match="cannot write here"), atomic_file(tmp_path / "out.csv"):
            pytest.fail("the block must not run")


class TestFolder:
    def test_appears_when_the_block_has_succeeded(self, tmp_path):
        with atomic_folder(tmp_path / "a" / "run", "train") as temporary:
            (temporary / "deep").mkdir()
            (temporary / "deep" / "weights").write_text("w")
            assert not (tmp_path / "a" / "run").exists()
        assert contents(tmp_path) == {"a/run/deep/weights": "w"}

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, _Crash])
    def test_an_error_leaves_nothing(self, tmp_path, error):
        with pytest.raises(error), atomic_folder(tmp_path / "run", "train") as temporary:
            write_and_raise(temporary / "weights", error)
        assert list(tmp_path.iterdir()) == []

    def test_an_empty_folder_may_be_there(self, tmp_path):
        (tmp_path / "run").mkdir()
        with atomic_folder(tmp_path / "run", "train") as temporary:
            (temporary / "weights").write_text("w")
        assert [path.name for path in tmp_path.iterdir()] == ["run"]
        assert contents(tmp_path) == {"run/weights": "w"}

    def test_a_full_folder_is_refused_before_the_block_runs(self, tmp_path):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "old").write_text("old")
        with pytest.raises(UsageError, match="not empty") as caught, atomic_folder(tmp_path / "run", "train"):
            pytest.fail("the block must not run")
        assert "--force" in str(caught.value)
        assert contents(tmp_path) == {"run/old": "old"}

    def test_force_replaces_an_output_of_ours_as_a_whole(self, tmp_path):
        own_output(tmp_path / "run")
        with atomic_folder(tmp_path / "run", "train", force=True) as temporary:
            (temporary / "new").write_text("new")
            assert (tmp_path / "run" / "old").read_text() == "old"
        assert [path.name for path in tmp_path.iterdir()] == ["run"]
        assert contents(tmp_path) == {"run/new": "new"}

    @pytest.mark.parametrize("name", ["notes.txt", "deep/notes.txt", "other/notes.txt"])
    def test_force_deletes_nothing_that_came_from_elsewhere(self, tmp_path, name):
        own_output(tmp_path / "run")
        fill({tmp_path / "run" / name: "mine"})
        before = contents(tmp_path)
        with (
            pytest.raises(UsageError, match=f"did not write here: {name}"),
            atomic_folder(tmp_path / "run", "train", force=True),
        ):
            pytest.fail("the block must not run")
        assert contents(tmp_path) == before

    def test_force_keeps_the_output_of_another_command(self, tmp_path):
        own_output(tmp_path / "run")
        with (
            pytest.raises(UsageError, match="holds that of `dcpc train`"),
            atomic_folder(tmp_path / "run", "inspect", force=True),
        ):
            pytest.fail("the block must not run")
        assert contents(tmp_path) == {"run/deep/old": "deep", "run/old": "old"}

    def test_force_keeps_the_old_folder_where_the_block_fails(self, tmp_path):
        own_output(tmp_path / "run")
        before = contents(tmp_path)
        with pytest.raises(_Crash), atomic_folder(tmp_path / "run", "train", force=True) as temporary:
            write_and_raise(temporary / "new", _Crash)
        assert contents(tmp_path) == before

    def test_force_refuses_a_folder_that_is_no_output_of_ours(self, tmp_path):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "thesis.tex").write_text("mine")
        with (
            pytest.raises(UsageError, match="holds something else"),
            atomic_folder(tmp_path / "run", "train", force=True),
        ):
            pytest.fail("the block must not run")
        assert contents(tmp_path) == {"run/thesis.tex": "mine"}

    def test_the_working_directory_is_filled_and_stays_the_same_folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        before = tmp_path.stat().st_ino
        with atomic_folder(".", "train") as temporary:
            (temporary / "deep").mkdir()
            (temporary / "deep" / "weights").write_text("w")
        assert os.stat(".").st_ino == before
        assert contents(tmp_path) == {"deep/weights": "w"}

    @pytest.mark.parametrize("force", [False, True])
    def test_a_link_to_a_folder_stays_a_link(self, tmp_path, force):
        (tmp_path / "disk").mkdir()
        if force:
            own_output(tmp_path / "disk")
        (tmp_path / "link").symlink_to(tmp_path / "disk")
        with atomic_folder(tmp_path / "link", "train", force=force) as temporary:
            (temporary / "weights").write_text("w")
        assert (tmp_path / "link").is_symlink()
        assert contents(tmp_path / "disk") == {"weights": "w"}

    def test_a_link_in_a_circle_is_bad_usage(self, tmp_path):
        (tmp_path / "run").symlink_to(tmp_path / "run")
        with pytest.raises(UsageError), atomic_folder(tmp_path / "run", "train"):
            pytest.fail("the block must not run")

    def test_the_config_comes_last(self, tmp_path, monkeypatch):
        (tmp_path / "run").mkdir()
        order, replace = [], Path.replace
        monkeypatch.setattr(Path, "replace", lambda self, to: (order.append(self.name), replace(self, to))[1])
        with atomic_folder(tmp_path / "run", "train") as temporary:
            for name in ("adapter_config.json", "adapter_model.safetensors", "task.json"):
                (temporary / name).write_text("")
        assert order[-1] == "adapter_config.json"

    def test_a_finished_output_that_finds_its_place_taken_is_kept(self, tmp_path):
        with (
            pytest.raises(UsageError, match="cannot be moved here") as caught,
            atomic_folder(tmp_path / "run", "train") as temporary,
        ):
            fill({temporary / "weights": "w", tmp_path / "run" / "other": "other"})
        assert str(temporary) in str(caught.value)
        assert (temporary / "weights").read_text() == "w"
        assert contents(tmp_path / "run") == {"other": "other"}

    def test_a_move_that_fails_half_way_brings_the_old_output_back(self, tmp_path, monkeypatch):
        own_output(tmp_path / "run")
        before, replace = contents(tmp_path), Path.replace

        def fail(self: Path, to: Path) -> Path:
            if self.name == "second" and Path(to).parent == tmp_path / "run":
                raise OSError(28, "No space left on device")
            return replace(self, to)

        monkeypatch.setattr(Path, "replace", fail)
        with (
            pytest.raises(UsageError, match="No space left"),
            atomic_folder(tmp_path / "run", "train", force=True) as temporary,
        ):
            fill({temporary / "first": "1", temporary / "second": "2"})
        assert contents(temporary) == {"first": "1", "second": "2"}
        shutil.rmtree(temporary)
        assert contents(tmp_path) == before

    def test_a_file_is_refused(self, tmp_path):
        (tmp_path / "run").write_text("a file")
        with (
            pytest.raises(UsageError, match="is a file"),
            atomic_folder(tmp_path / "run", "train", force=True),
        ):
            pytest.fail("the block must not run")

    def test_gets_the_usual_permissions(self, tmp_path, usual_umask):
        with atomic_folder(tmp_path / "run", "train"):
            pass
        assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o755

    def test_private_files_in_it_get_the_usual_permissions(self, tmp_path, usual_umask):
        with atomic_folder(tmp_path / "run", "train") as temporary:
            (temporary / "deep").mkdir(mode=0o700)
            (temporary / "deep" / "weights").touch(mode=0o600)
        assert stat.S_IMODE((tmp_path / "run" / "deep").stat().st_mode) == 0o755
        assert stat.S_IMODE((tmp_path / "run" / "deep" / "weights").stat().st_mode) == 0o644


def test_check_output_folder_says_nothing_about_new_and_empty_folders(tmp_path):
    check_output_folder(tmp_path / "new")
    check_output_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("check", [check_output_folder, check_output_file])
@pytest.mark.parametrize("name", ["taken/run", "n" * 300, "taken/deep/run"])
def test_an_output_that_cannot_be_written_is_told_before_the_work(tmp_path, check, name):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UsageError, match="cannot write here"):
        check(tmp_path / name)
    assert contents(tmp_path) == {"taken": "a file"}


def test_check_output_file_keeps_what_is_there_unless_forced(tmp_path):
    (tmp_path / "out.json").write_text("old")
    with pytest.raises(UsageError, match="--force"):
        check_output_file(tmp_path / "out.json")
    check_output_file(tmp_path / "out.json", force=True)
    check_output_file(tmp_path / "new" / "out.json")
    assert contents(tmp_path) == {"out.json": "old"}


FULL = [
    OSError(errno.ENOSPC, "No space left on device"),
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
]


class TestFullDisk:
    @pytest.mark.parametrize("error", FULL)
    def test_of_a_file_nothing_is_left(self, tmp_path, error):
        with pytest.raises(OutputError, match=r"out.csv: .*No space left"), atomic_file(tmp_path / "out.csv"):
            raise error
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("error", FULL)
    def test_of_a_folder_nothing_is_left(self, tmp_path, error):
        with pytest.raises(OutputError, match="Make room"), atomic_folder(tmp_path / "out", "train"):
            raise error
        assert not list(tmp_path.iterdir())

    def test_a_limit_on_the_size_of_files(self, tmp_path):
        resource = pytest.importorskip("resource")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        (tmp_path / "out.csv").write_text("old")
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        try:
            with pytest.raises(OutputError), atomic_file(tmp_path / "out.csv") as temporary:
                temporary.write_text("x" * 5000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert contents(tmp_path) == {"out.csv": "old"}

    @pytest.mark.parametrize("error", [OSError(errno.EACCES, "Permission denied"), ValueError("os error 2")])
    def test_another_error_stays_what_it_is(self, tmp_path, error):
        with pytest.raises(type(error)) as raised, atomic_file(tmp_path / "out.csv"):
            raise error
        assert raised.value is error


def test_a_signal_amid_the_moves_brings_the_old_output_back(tmp_path, monkeypatch):
    own_output(tmp_path / "out")
    replace = Path.replace

    def stopped(self, target):
        if Path(target) == tmp_path / "out" / "new":
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", stopped)
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "out", "train", force=True) as temporary:
        (temporary / "new").write_text("new")
    assert contents(tmp_path / "out") == {"old": "old", "deep/old": "deep"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [MANIFEST, "deep", "old"]
