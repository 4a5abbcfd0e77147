"""The file beside an adapter that says what it was trained to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dcpc.errors import ModelError
from dcpc.task import CONFIG_FILE, TASK_FILE, WEIGHTS_FILE, Task

LABELS = ["größer", "kleiner", "同じ"]


def adapter(folder: Path) -> Path:
    (folder / CONFIG_FILE).write_text("{}", encoding="utf-8")
    (folder / WEIGHTS_FILE).write_bytes(b"weights")
    return folder


def test_labels_are_read_as_written_whatever_the_locale(tmp_path: Path) -> None:
    lines = [
        "from pathlib import Path",
        "from dcpc.task import Task",
        f"task = Task(base_model='minilm', method='dcpc', labels={LABELS!a})",
        f"task.write(Path({str(adapter(tmp_path))!r}))",
    ]
    ascii_only = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], env=os.environ | ascii_only, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert Task.read(tmp_path).labels == LABELS


def test_a_field_of_the_wrong_type_is_named_with_the_file(tmp_path: Path) -> None:
    (adapter(tmp_path) / TASK_FILE).write_text('{"base_model": "minilm", "method": "dcpc"}', encoding="utf-8")
    with pytest.raises(ModelError, match=r"task\.json: `labels`: field required\."):
        Task.read(tmp_path)
