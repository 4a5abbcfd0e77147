"""A JSON array is read in parts, and gives what a whole reading gives: the same objects, or the same error."""

from __future__ import annotations

import json
import tempfile
import tracemalloc
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dcpc.data.readers import json_array, read_annotations, records
from dcpc.errors import DataError

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
objects = st.lists(st.dictionaries(st.text(max_size=3), values, max_size=3), max_size=4)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """An array of objects as a program would write it, or one that was damaged in a place."""
    indent, ascii_only = draw(st.sampled_from([None, 0, 2])), draw(st.booleans())
    text = json.dumps(draw(objects), indent=indent, ensure_ascii=ascii_only)
    if draw(st.booleans()):
        at = draw(st.integers(1, len(text)))
        new = draw(
            st.sampled_from(["", ",", "]", "}", "{", '"', " 7 ", "\\ud800", "\n", "[]", "x", "\ufeff"])
        )
        text = text[:at] + new + text[at + draw(st.integers(0, 3)) :]
    return draw(st.sampled_from(["", "\n ", "\ufeff"])) + text + draw(st.sampled_from(["", "\n", " ", " {}"]))


def outcome(read: Callable[[], Any]) -> tuple[str, Any]:
    try:
        return "read", repr(list(read()))  # of NaN too, which equals nothing
    except DataError as error:
        return "refused", str(error)


@settings(max_examples=300, deadline=None)
@given(document=documents(), part=st.sampled_from([1, 2, 7, 2**20]))
@example('[{"a": 1}, {"a": 2, "a": 3}]', 2)
@example('[{"a": 1},\n {"b": "\\ud800"}]', 2)
@example('[{"a": 1}, 7, {"a"]', 1)
@example('[{"a": 1}, 7]', 1)
@example('[{"a": 1},]', 1)
@example('[{"a": 1} {"a": 2}]', 1)
@example('[{"a": 1}', 1)
@example("[]", 1)
@example("[] []", 1)
@example('[{"a": ' + "9" * 5000 + "}]", 2**20)
@example('[{"a": ' + "[" * 5000 + "]" * 5000 + "}]", 2**20)
def test_parts_give_what_the_whole_gives(document: str, part: int) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(json_array, "_PART", part)
        path = Path(folder) / "data.json"
        path.write_text(document, encoding="utf-8", newline="")
        assert json_array.is_json_array(path)
        found = records.read_records(path, "data.json")
        whole = outcome(lambda: records._of_json(path, "data.json").entries)
        assert outcome(lambda: found.entries) == whole
        if whole[0] == "read":
            assert list(found.notes) == list(records._of_json(path, "data.json").notes)
        assert found.unit == "record"


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_bytes(b'[{"a": "x"},\n' + b" " * 100_000 + b'{"a": "\xe9"}]')
    with pytest.raises(DataError, match=r"byte 100,021 is not UTF-8"):
        list(records.read_records(path, "data.json").entries)


@pytest.mark.parametrize("indent", [None, 1])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, indent: int | None) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps([{"id": i, "text": f"text {i} " * 20} for i in range(50_000)], indent=indent))
    assert path.stat().st_size > 10_000_000
    tracemalloc.start()
    try:
        last = deque(records.read_records(path, "data.json").entries, maxlen=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert last[0][0] == 50_000
    assert peak < 8_000_000


def test_an_error_in_an_object_names_its_record(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    rows = [{"text": f"text {i}", "annotator_id": "ann", "label": "yes" if i % 2 else "no"} for i in range(9)]
    rows[6]["text"] = None
    path.write_text(json.dumps(rows, indent=2))
    with pytest.raises(DataError, match="record 7"):
        read_annotations(path)
