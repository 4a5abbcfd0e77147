"""Text that is nearly JSON is refused with what is wrong, and the command that mends it works as it is printed."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from reading import has_note, labels_of

from dcpc.data.readers import read_annotations
from dcpc.errors import DataError

RECORDS = [
    {"text": "It's good.", "annotator_id": "anna", "label": "yes"},
    {"text": "It's good.", "annotator_id": "bert", "label": "no"},
]
ARRAY = json.dumps(RECORDS)


def refused(folder: Path, name: str, content: str | bytes) -> DataError:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        read_annotations(path)
    return caught.value


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("comments.json", f"// exported on Monday\n/* by\n   anna */\n{ARRAY}"),
        ("comments.jsonl", "# exported on Monday\n" + "\n".join(map(json.dumps, RECORDS))),
        ("python.json", repr(RECORDS)),
        ("python lines.jsonl", "\n\n".join(map(repr, RECORDS)) + "\n"),
        ("utf-16.json", ARRAY.encode("utf-16")),
        ("utf-16.jsonl", "\n".join(map(json.dumps, RECORDS)).encode("utf-16")),
    ],
)
def test_the_command_that_is_printed_mends_it(tmp_path: Path, name: str, content: str | bytes) -> None:
    error = refused(tmp_path, name, content)
    _, _, command = str(error.fix).partition(": ")
    command = command.replace("python -c", f"{shlex.quote(sys.executable)} -c")
    subprocess.run(command, shell=True, check=True)
    assert shlex.split(command)[-2] == ">"
    mended = Path(shlex.split(command)[-1])
    try:
        assert labels_of(read_annotations(mended)) == ["yes", "no"]
    finally:
        mended.unlink()


@pytest.mark.parametrize(
    ("content", "what", "fix"),
    [
        (f"/* x */ {ARRAY}", "comments stand before the data", "Remove them."),
        (f"data = {ARRAY};", "this is a script, `data =`", "Remove `data =`, and a `;` at the end."),
        (f"export default {ARRAY}", "`export default`", "Remove `export default`"),
        (f"[// one\n{ARRAY[1:]}", "a comment at column 2", "Remove the comments."),
        ("[{'text': 'It's good', 'label': 1}]", "single quotes at column 3", 'in "double quotes"'),
        ('{text: "good", "label": 1}', "the name text at column 2", 'Write it as "text"'),
        ('[{"text": "good", "label": undefined}]', "undefined at column 28 is no value", "Write null"),
        ('[{"text": "good", "label": True, "so": x}]', "the word True at column 28", "true, false and null"),
        (ARRAY[:-20], "it ends in the middle", "Export or download the file again."),
        (ARRAY[:-1], "it ends in the middle", "Export or download the file again."),
        ('[{"text": "two\nlines", "label": 1}]', "a line break or tab within a text at column 15", "\\n"),
        (f"{ARRAY} {ARRAY}", "another value follows the first at column", "one array of them all"),
    ],
)
def test_what_is_wrong_is_said_in_words(tmp_path: Path, content: str, what: str, fix: str) -> None:
    error = refused(tmp_path, "data.json", content)
    assert what in error.what
    assert fix in str(error.fix)
    assert "data.json, line" in str(error)


def test_tables_that_look_a_little_like_a_script_are_tables(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("text,annotator_id,label\nx = [1],anna,yes\n// {,bert,no\n")
    assert labels_of(read_annotations(path)) == ["yes", "no"]


def test_lists_of_records_that_are_not_read_are_named(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps({"data": RECORDS, "page": 1, "tags": ["a"], "included": RECORDS * 2}))
    found = read_annotations(path)
    assert len(found.table) == 2
    assert has_note(found, 'taken from "data" (not from its other lists: "included" (4))')
