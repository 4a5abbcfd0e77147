"""Compressed files read as what is in them; damaged ones and bombs are refused, and nothing is left behind."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import resource
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import has_note, labels_of

from dcpc.data.readers import packed, read_annotations, read_item_rows
from dcpc.errors import DataError, OutputError

TABLE = "item_id,text,annotator_id,label\n1,one,ann,yes\n1,one,bob,no\n2,two,ann,no\n"


def zstd(content: bytes) -> bytes:
    return pa.compress(content, codec="zstd", asbytes=True)


def zipped(content: bytes, name: str = "data.csv") -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return sink.getvalue()


PACKS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstd,
    ".zip": zipped,
}


@pytest.fixture(autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of the test's own."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def write(folder: Path, content: bytes, name: str) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def error(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        read_annotations(path)
    return caught.value


@pytest.mark.parametrize("suffix", PACKS)
@settings(max_examples=8, deadline=None)
@given(
    texts=st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=9), min_size=2),
    lines=st.booleans(),
)
def test_a_packed_table_reads_as_the_table(suffix: str, texts: list[str], lines: bool) -> None:
    rows = [
        {"item_id": str(100 + n), "text": f"t{text}", "annotator_id": "ann", "label": "yn"[n % 2]}
        for n, text in enumerate(texts)
    ]
    content = "\n".join(map(json.dumps, rows)) if lines else pd.DataFrame(rows).to_csv(index=False)
    with tempfile.TemporaryDirectory() as folder:
        plain = write(Path(folder), content.encode(), "data.jsonl" if lines else "data.csv")
        expected = read_annotations(plain)
        found = read_annotations(write(Path(folder), PACKS[suffix](content.encode()), plain.name + suffix))
    pd.testing.assert_frame_equal(found.table, expected.table)
    assert (found.labels, found.scale, found.notes) == (expected.labels, expected.scale, expected.notes)


@pytest.mark.parametrize("suffix", PACKS)
def test_the_name_decides_nothing_and_nothing_is_left(tmp_path: Path, temporary: Path, suffix: str) -> None:
    path = write(tmp_path, PACKS[suffix](TABLE.encode()), "my judgements.download")
    assert labels_of(read_annotations(path)) == ["yes", "no", "no"]
    assert len(read_item_rows(path).items) == 2
    assert read_annotations(path, format="csv").source.startswith(str(path))
    assert not list(temporary.iterdir())


def test_a_packed_parquet_and_a_file_packed_twice(tmp_path: Path) -> None:
    sink = io.BytesIO()
    pd.read_csv(io.StringIO(TABLE), dtype=str).to_parquet(sink)
    found = read_annotations(write(tmp_path, gzip.compress(sink.getvalue()), "data.parquet.gz"))
    assert labels_of(found) == ["yes", "no", "no"]
    twice = zipped(gzip.compress(TABLE.encode()), "data.csv.gz")
    assert labels_of(read_annotations(write(tmp_path, twice, "data.zip"))) == ["yes", "no", "no"]


def test_files_one_behind_the_other_in_one_packed_file(tmp_path: Path) -> None:
    first, second = TABLE[:50].encode(), TABLE[50:].encode()
    for suffix in (".gz", ".bz2", ".xz", ".zst"):
        path = write(tmp_path, PACKS[suffix](first) + PACKS[suffix](second), f"data.csv{suffix}")
        assert labels_of(read_annotations(path)) == ["yes", "no", "no"], suffix


def test_errors_name_the_users_file_and_row(tmp_path: Path, temporary: Path) -> None:
    content = TABLE.replace("two,ann,no", "two,ann,no,more").encode()
    for suffix in (".gz", ".zip"):
        found = error(write(tmp_path, PACKS[suffix](content), f"data.csv{suffix}"))
        assert str(found.where).startswith(str(tmp_path / f"data.csv{suffix}")), suffix
        assert "row 4" in str(found.where)
        assert str(temporary) not in str(found)


@pytest.mark.parametrize("suffix", PACKS)
def test_a_damaged_file_is_refused_and_nothing_is_left(tmp_path: Path, temporary: Path, suffix: str) -> None:
    content = "".join(f"{n},text {n * n},ann,yes\n" for n in range(500))
    whole = PACKS[suffix](TABLE.encode() + content.encode())
    found = error(write(tmp_path, whole[: len(whole) // 2], f"cut.csv{suffix}"))
    assert "not whole" in found.what or "malformed zip" in found.what
    assert str(tmp_path) in str(found.where)
    assert not list(temporary.iterdir())


def test_a_packed_file_of_nothing_is_empty(tmp_path: Path) -> None:
    assert "empty" in error(write(tmp_path, gzip.compress(b""), "data.csv.gz")).what


@pytest.mark.parametrize("suffix", PACKS)
def test_a_bomb_is_stopped_while_it_unpacks(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(packed, "LARGE", 2 << 20)
    content = PACKS[suffix](b"text,label\n" + b"0" * (16 << 20))
    found = error(write(tmp_path, content, f"data.csv{suffix}"))
    assert "200 times" in found.what
    assert not list(temporary.iterdir())


def test_a_full_disk_is_told_with_the_way_out(tmp_path: Path, temporary: Path) -> None:
    path = write(tmp_path, gzip.compress(TABLE.encode() * 1_000), "data.csv.gz")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))
    try:
        with pytest.raises(OutputError, match="TMPDIR"):
            read_annotations(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(temporary.iterdir())


def archive(folder: Path, members: dict[str, str]) -> Path:
    path = folder / "data.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def test_a_zip_with_one_table_among_other_files(tmp_path: Path) -> None:
    others = {"README.txt": "about", "__MACOSX/._data.csv": "\0", "plot.png": "x", "more/": ""}
    found = read_annotations(archive(tmp_path, {"more/data.csv": TABLE, **others}))
    assert labels_of(found) == ["yes", "no", "no"]
    assert has_note(found, 'more/data.csv was read; left out: "README.txt", "plot.png"')


def test_a_zip_with_several_tables_names_them_and_the_command(tmp_path: Path) -> None:
    found = error(archive(tmp_path, {"a.csv": TABLE, "b.csv": TABLE}))
    assert '"a.csv", "b.csv"' in found.what
    assert "unzip" in str(found.fix)
    assert "no table" in error(archive(tmp_path, {"a.png": "x", "b.pdf": "y"})).what


def test_a_table_alone_in_a_zip_is_no_annotator(tmp_path: Path) -> None:
    found = read_annotations(archive(tmp_path, {"reviews.csv": "text,label\none,yes\ntwo,no\n"}))
    assert not found.has_annotators
    assert labels_of(found) == ["yes", "no"]


def test_an_encrypted_table_is_told(tmp_path: Path) -> None:
    path = archive(tmp_path, {"data.csv": TABLE})
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flag, in the member's header and in the list of members
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(content))
    assert "encrypted" in error(path).what


def test_packed_tables_of_a_folder_are_read_together(tmp_path: Path) -> None:
    for name in ("train", "test"):
        write(
            tmp_path, gzip.compress(f"text,label\n{name} one,yes\n{name} two,no\n".encode()), f"{name}.csv.gz"
        )
    found = read_annotations(tmp_path)
    assert dict(zip(found.table["text"], found.table["split"], strict=True)) == {
        "train one": "train", "train two": "train", "test one": "test", "test two": "test",
    }  # fmt: skip


@pytest.mark.parametrize("head", ["PK", "BZh", "BZh9"])
def test_a_header_that_begins_like_a_packed_file(tmp_path: Path, head: str) -> None:
    path = write(tmp_path, f"{head},text,label\n1,one,yes\n2,two,no\n".encode(), "data.csv")
    assert labels_of(read_annotations(path)) == ["yes", "no"]
