"""Large tables lie in mapped files, and read the same as those in memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dcpc.data import mapped
from dcpc.data.mapped import by_parts, fingerprints, joined, taken
from dcpc.data.readers import read_annotations, read_item_rows
from dcpc.errors import DataError, OutputError

TEXTS = ["één", None, "", "a b", "x" * 300, "日本", "same", "same", None, "end"]


def frame(repeats: int = 7) -> pd.DataFrame:
    return pd.DataFrame(
        {"text": pd.Series(TEXTS * repeats, dtype="str"), "number": range(len(TEXTS) * repeats)}
    )


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is large, and seen a few rows at a time."""
    monkeypatch.setattr(mapped, "LARGE", 1)
    monkeypatch.setattr(mapped, "ROWS", 4)


def anonymous_bytes() -> int:
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) * 1024


def write(path: Path, table: pd.DataFrame) -> Path:
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    elif path.suffix == ".jsonl":
        table.to_json(path, orient="records", lines=True, force_ascii=False)
    else:
        table.to_parquet(path, index=False)
    return path


def judgements(number: int = 60) -> pd.DataFrame:
    """Items that come several times, with texts that differ in how they are written."""
    items = [i // 3 for i in range(number)]
    texts = [f"the text of item {i}{' ' if n % 5 == 0 else ''}" for n, i in enumerate(items)]
    return pd.DataFrame(
        {
            "item_id": [f"item {i}" for i in items],
            "text": texts,
            "annotator_id": [f"0{i % 3}" for i in range(number)],
            "label": ["yes", "no", " yes"] * (number // 3),
            "split": ["train" if i % 4 else "test" for i in items],
        }
    )


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("pieces", [1, 2, 5])
def test_joined_tables_are_those_of_pandas(pieces: int) -> None:
    parts = np.array_split(np.arange(len(frame())), pieces)
    found = joined(frame().iloc[part] for part in parts)
    pd.testing.assert_frame_equal(found, frame())
    assert found["text"].array.__arrow_array__().num_chunks == 1  # else taking a few joins all


@pytest.mark.usefixtures("large")
def test_rows_are_taken_as_pandas_takes_them() -> None:
    whole = mapped.mapped(frame())
    mask = whole["number"] % 3 == 0
    pd.testing.assert_frame_equal(taken(whole, mask.to_numpy()), frame()[mask].reset_index(drop=True))
    rows = np.array([9, 3, 3, 0, 69])
    pd.testing.assert_frame_equal(taken(whole, rows), frame().iloc[rows].reset_index(drop=True))
    none = taken(whole, np.zeros(len(whole), dtype=bool))
    assert list(none.columns) == ["text", "number"]
    assert len(none) == 0


@pytest.mark.usefixtures("large")
def test_parts_and_fingerprints_tell_what_the_whole_does() -> None:
    table = frame()
    lengths = by_parts(table["text"], lambda part: part.str.len().to_numpy())
    np.testing.assert_array_equal(lengths, table["text"].str.len().to_numpy())
    found = fingerprints(table[["text"]])
    np.testing.assert_array_equal(found, pd.util.hash_pandas_object(table[["text"]], index=False))
    assert len(np.unique(found)) == table["text"].nunique(dropna=False)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("ids", [True, False])
def test_a_large_table_is_read_as_a_small_one(
    tmp_path: Path, kind: str, ids: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = judgements() if ids else judgements().drop(columns="item_id")
    path = write(tmp_path / f"rows.{kind}", table)
    small, small_items = read_annotations(path), read_item_rows(path)
    for name, value in (("LARGE", 1), ("ROWS", 7)):
        monkeypatch.setattr(mapped, name, value)
        for place in ("readers.tables", "readers.items", "scales"):
            monkeypatch.setattr(f"dcpc.data.{place}.{name}", value, raising=False)
    large, large_items = read_annotations(path), read_item_rows(path)
    pd.testing.assert_frame_equal(large.table, small.table)
    pd.testing.assert_frame_equal(large.items, small.items)
    pd.testing.assert_frame_equal(large_items.items, small_items.items)
    assert large.notes == small.notes
    assert large.labels == small.labels
    half = np.arange(small.n_judgements) % 2 == 0
    pd.testing.assert_frame_equal(large.where(half).table, small.where(half).table)


@pytest.mark.usefixtures("large")
def test_errors_of_a_large_table_name_row_and_column(tmp_path: Path) -> None:
    table = judgements()
    table.loc[41, "text"] = "another text"
    with pytest.raises(DataError, match=r'item "item 13" had another text in row 41') as error:
        read_annotations(write(tmp_path / "rows.csv", table))
    assert error.value.where is not None
    assert 'row 43, column "text"' in str(error.value.where)
    table.loc[41, "text"] = "   "
    with pytest.raises(DataError, match="the text is empty"):
        read_annotations(write(tmp_path / "blank.csv", table))


@pytest.mark.usefixtures("large")
def test_a_full_disk_is_told_with_the_folder_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __enter__(self) -> Full:
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def write(self, data: bytes) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **options: Full())
    with pytest.raises(OutputError, match="TMPDIR"):
        mapped.mapped(frame())


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux' memory figures")
def test_texts_of_a_large_table_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "LARGE", 2**20)
    part = pd.DataFrame({"text": pd.Series(["z" * 4_000] * 1_000, dtype="str")})
    before = anonymous_bytes()
    whole = joined(part.assign(number=number) for number in range(40))  # 160 MB
    kept = taken(whole, np.arange(len(whole)) % 2 == 0)
    assert len(kept) == 20_000
    assert kept["text"].iloc[-1] == "z" * 4_000
    assert anonymous_bytes() - before < 60 * 2**20


def test_many_values_are_numbered_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    few = [pd.Series(["b", "a", "b", "c", "a"]), pd.Series(["b", None, "a", "b"])]
    told = [mapped.codes_of(values) for values in few]
    monkeypatch.setattr(mapped, "ROWS", 2)
    for values, codes in zip(few, told, strict=True):
        np.testing.assert_array_equal(mapped.codes_of(values), codes)
    np.testing.assert_array_equal(mapped.first_rows(told[0]), [0, 1, 3])
    np.testing.assert_array_equal(mapped.first_rows(told[1]), [0, 2])
