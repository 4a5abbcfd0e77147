"""What a Doccano export may hold besides plain labels, and zips that are refused."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from reading import has_note, labels_of

from dcpc.data.readers import read_annotations
from dcpc.data.readers.tools import doccano as doccano_reader
from dcpc.errors import DataError


def doccano_zip(folder: Path, members: dict[str, str]) -> Path:
    path = folder / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def entry(**more: Any) -> str:
    return json.dumps({"id": 1, "text": "one", "label": ["yes"], **more}) + "\n"


def test_doccano_files_without_an_annotator(tmp_path: Path) -> None:
    members = {"all.jsonl": entry() + entry(id=2, label=["no"]), "ann.jsonl": entry(label=["no"])}
    found = read_annotations(doccano_zip(tmp_path, members))
    assert found.table["annotator_id"].isna().tolist() == [True, True, False]


def test_doccano_entries_without_a_label_are_counted(tmp_path: Path) -> None:
    members = {"ann.jsonl": entry() + entry(id=2, label=[]), "bob.jsonl": entry(label=["no"])}
    found = read_annotations(doccano_zip(tmp_path, members))
    assert found.n_judgements == 2
    assert has_note(found, "1 entry without a label")


def test_doccano_csv_and_the_older_name_of_the_text(tmp_path: Path) -> None:
    members = {"ann.csv": "id,data,label\n1,one,yes\n", "bob.csv": "id,data,label\n1,one,no\n"}
    assert labels_of(read_annotations(doccano_zip(tmp_path, members))) == ["yes", "no"]


@pytest.mark.parametrize(
    "name", ["../ann.jsonl", "/etc/ann.jsonl", "a/../../ann.jsonl", "..\\ann.jsonl", "C:\\ann.jsonl"]
)
def test_a_zip_member_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="leads out of the zip"):
        read_annotations(doccano_zip(tmp_path, {name: entry()}))


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="zip bomb"):
        read_annotations(doccano_zip(tmp_path, {"ann.jsonl": entry() + "0" * (20 << 20)}))


def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doccano_reader, "MOST_BYTES", 100)
    with pytest.raises(DataError, match="unpacks to more"):
        read_annotations(doccano_zip(tmp_path, {"ann.jsonl": entry() * 10}))


@pytest.mark.parametrize(
    "members", [{}, {"ann.jsonl": "", "photo.png": ""}, {"inner.zip": ""}, {"a.csv": "", "b.json": ""}]
)
def test_a_zip_of_something_else_is_refused(tmp_path: Path, members: dict[str, str]) -> None:
    with pytest.raises(DataError, match=r"export\.zip"):
        read_annotations(doccano_zip(tmp_path, members))


def test_a_damaged_zip_member(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ann.jsonl", entry())
    path.write_bytes(path.read_bytes().replace(b'"yes"', b'"YES"', 1))
    with pytest.raises(DataError, match="malformed zip"):
        read_annotations(path)


def test_malformed_json_in_a_zip_names_member_and_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ann\.jsonl, line 2"):
        read_annotations(doccano_zip(tmp_path, {"ann.jsonl": entry() + '{"id": \n'}))


def test_doccano_spans_are_not_labels(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="spans"):
        read_annotations(doccano_zip(tmp_path, {"ann.jsonl": entry(label=[[0, 3, "X"]])}))
