"""Output appears whole or not at all, and nothing is left beside it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dcpc.errors import UsageError
from dcpc.files import atomic_file, atomic_folder, check_output_folder


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


def contents(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


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

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_without_permission_is_bad_usage(self, tmp_path):
        tmp_path.chmod(0o500)
        with pytest.raises(UsageError, match="cannot write here"), atomic_file(tmp_path / "out.csv"):
            pytest.fail("the block must not run")


class TestFolder:
    def test_appears_when_the_block_has_succeeded(self, tmp_path):
        with atomic_folder(tmp_path / "a" / "run") as temporary:
            (temporary / "deep").mkdir()
            (temporary / "deep" / "weights").write_text("w")
            assert not (tmp_path / "a" / "run").exists()
        assert contents(tmp_path) == {"a/run/deep/weights": "w"}

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, _Crash])
    def test_an_error_leaves_nothing(self, tmp_path, error):
        with pytest.raises(error), atomic_folder(tmp_path / "run") as temporary:
            write_and_raise(temporary / "weights", error)
        assert list(tmp_path.iterdir()) == []

    def test_an_empty_folder_may_be_there(self, tmp_path):
        (tmp_path / "run").mkdir()
        with atomic_folder(tmp_path / "run") as temporary:
            (temporary / "weights").write_text("w")
        assert [path.name for path in tmp_path.iterdir()] == ["run"]
        assert contents(tmp_path) == {"run/weights": "w"}

    def test_a_full_folder_is_refused_before_the_block_runs(self, tmp_path):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "old").write_text("old")
        with pytest.raises(UsageError, match="not empty") as caught, atomic_folder(tmp_path / "run"):
            pytest.fail("the block must not run")
        assert "--force" in str(caught.value)
        assert contents(tmp_path) == {"run/old": "old"}

    def test_force_replaces_it_as_a_whole(self, tmp_path):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "old").write_text("old")
        with atomic_folder(tmp_path / "run", force=True) as temporary:
            (temporary / "new").write_text("new")
            assert contents(tmp_path / "run") == {"old": "old"}
        assert [path.name for path in tmp_path.iterdir()] == ["run"]
        assert contents(tmp_path) == {"run/new": "new"}

    def test_force_keeps_the_old_folder_where_the_block_fails(self, tmp_path):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "old").write_text("old")
        with pytest.raises(_Crash), atomic_folder(tmp_path / "run", force=True) as temporary:
            write_and_raise(temporary / "new", _Crash)
        assert [path.name for path in tmp_path.iterdir()] == ["run"]
        assert contents(tmp_path) == {"run/old": "old"}

    def test_a_file_is_refused(self, tmp_path):
        (tmp_path / "run").write_text("a file")
        with pytest.raises(UsageError, match="is a file"), atomic_folder(tmp_path / "run", force=True):
            pytest.fail("the block must not run")

    def test_gets_the_usual_permissions(self, tmp_path, usual_umask):
        with atomic_folder(tmp_path / "run"):
            pass
        assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o755


def test_check_output_folder_says_nothing_about_new_and_empty_folders(tmp_path):
    check_output_folder(tmp_path / "new")
    check_output_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []
