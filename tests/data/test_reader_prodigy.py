"""What a Prodigy export may hold besides plain choices: ignored tasks, rejections, binary questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from reading import has_note, labels_of, save

from dcpc.data.readers import read_annotations
from dcpc.errors import DataError


def prodigy(answer: str = "accept", **more: Any) -> dict[str, Any]:
    return {
        "text": "one",
        "_input_hash": 1,
        "_task_hash": 2,
        "answer": answer,
        "_session_id": "s-ann",
        **more,
    }


def test_prodigy_leaves_out_and_counts_ignored_and_rejected_choices(tmp_path: Path) -> None:
    tasks = [
        prodigy(accept=["yes"]),
        prodigy(accept=["no"], _session_id="s-bob"),
        prodigy("ignore", accept=[], _session_id="s-eve"),
        prodigy("reject", accept=["no"], _session_id="s-joe"),
        prodigy(accept=[], _session_id="s-kim"),
    ]
    found = read_annotations(save(tmp_path, tasks, "export.jsonl"))
    assert labels_of(found) == ["yes", "no"]
    assert list(found.annotators) == ["s-ann", "s-bob"]
    for note in ("1 task (ignored)", "1 choice (rejected)", "1 judgement without an answer"):
        assert has_note(found, note)


def test_prodigy_binary_tasks_are_labelled_by_their_answer(tmp_path: Path) -> None:
    tasks = [prodigy(label="RUDE"), prodigy("reject", label="RUDE", _session_id="s-bob")]
    assert labels_of(read_annotations(save(tmp_path, tasks, "export.jsonl"))) == ["accept", "reject"]


def test_prodigy_binary_tasks_of_two_labels_are_two_questions(tmp_path: Path) -> None:
    tasks = [prodigy(label="RUDE"), prodigy("reject", label="KIND", _session_id="s-bob")]
    with pytest.raises(DataError, match='"RUDE", "KIND"'):
        read_annotations(save(tmp_path, tasks, "export.jsonl"))


def test_several_accepted_options_become_one_combined_label(tmp_path: Path) -> None:
    tasks = [prodigy(accept=["b", "a"]), prodigy(accept=["a"], _session_id="s-bob")]
    found = read_annotations(save(tmp_path, tasks, "export.jsonl"))
    assert labels_of(found) == ["a,b", "a"]
    assert has_note(found, "1 judgement with several labels")
