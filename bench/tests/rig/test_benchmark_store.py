"""The store keeps what was written, once, whatever happens to its writers or its disk."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path

import pytest

from dcpc.errors import TrainingError, UsageError
from dcpc_bench.rig import store as module
from dcpc_bench.rig.store import STORE_VERSION, Store


def record(seed: int, value: float = 0.0) -> dict:
    return {"kind": "cell", "dataset": "d", "condition": "clean", "method": "m", "seed": seed, "value": value}


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


def test_two_workers_see_each_others_records_and_write_each_once(tmp_path: Path) -> None:
    one, two = Store(tmp_path), Store(tmp_path)
    assert one.append(record(0))
    assert not two.append(record(0, value=1.0))
    assert two.append(record(1))
    assert list(one.records().values()) == lines(tmp_path) == [record(0), record(1)]


def test_a_torn_last_line_is_cut_off_and_its_cell_can_be_written_again(tmp_path: Path) -> None:
    Store(tmp_path).append(record(0))
    with (tmp_path / "records.jsonl").open("a") as file:
        file.write('{"kind": "cell", "dataset": "d", "cond')
    late = Store(tmp_path)
    assert list(late.records().values()) == [record(0)]
    assert late.append(record(1))
    assert lines(tmp_path) == [record(0), record(1)]


def test_a_store_of_a_torn_line_only_starts_anew(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_text('{"kind"')
    assert Store(tmp_path).append(record(0))
    assert lines(tmp_path) == [record(0)]


@pytest.mark.parametrize("part", [0, 7])
def test_a_full_disk_is_said_and_leaves_the_store_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    store = Store(tmp_path)
    store.append(record(0))
    before = (tmp_path / "records.jsonl").read_bytes()
    real = os.pwrite

    def full(handle: int, line: bytes, position: int) -> int:
        real(handle, line[:part], position)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "pwrite", full)
    with pytest.raises(TrainingError, match="disk is full"):
        store.append(record(1))
    assert (tmp_path / "records.jsonl").read_bytes() == before
    monkeypatch.undo()
    assert store.append(record(1))
    assert lines(tmp_path) == [record(0), record(1)]


def test_a_claim_holds_until_it_is_given_up(tmp_path: Path) -> None:
    one, two = Store(tmp_path), Store(tmp_path)
    key = ("cell", "d", "pool=x@0.3", "m", 0)
    held = one.claim(key)
    assert held is not None
    assert two.claim(key) is None
    os.close(held)
    again = two.claim(key)
    assert again is not None
    os.close(again)


def test_dropped_records_are_gone_for_everybody(tmp_path: Path) -> None:
    one, two = Store(tmp_path), Store(tmp_path)
    for seed in range(3):
        one.append(record(seed))
    assert len(two.records()) == 3
    assert one.drop(lambda r: r["seed"] == 1) == 1
    assert list(two.records().values()) == lines(tmp_path) == [record(0), record(2)]


def test_a_file_that_was_replaced_twice_is_read_anew(tmp_path: Path) -> None:
    """File systems give the inode of a removed file to the next one, which then looks like the first."""
    one, other = Store(tmp_path), Store(tmp_path)
    for seed in range(3):
        other.append(record(seed))
    assert len(one.records()) == 3
    other.drop(lambda r: r["seed"] == 0)
    other.drop(lambda r: r["seed"] == 1)
    for seed in range(10, 20):
        other.append(record(seed))
    assert one.records() == other.records() == Store(tmp_path).records()
    assert {r["seed"] for r in one.records().values()} == {2, *range(10, 20)}


def test_another_version_is_refused_untouched(tmp_path: Path) -> None:
    plan = json.dumps({"store": STORE_VERSION + 1})
    (tmp_path / "plan.json").write_text(plan)
    with pytest.raises(UsageError, match=f"version {STORE_VERSION + 1}"):
        _ = Store(tmp_path).plan
    assert [p.name for p in tmp_path.iterdir()] == ["plan.json"]


@pytest.mark.parametrize("content", ["nonsense", "[]", "{}"])
def test_a_plan_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(UsageError, match="no plan"):
        _ = Store(tmp_path).plan


def test_records_of_an_older_layout_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cells").mkdir()
    with pytest.raises(UsageError, match="without a plan"):
        _ = Store(tmp_path).plan


@pytest.mark.parametrize("line", ["broken", "[1, 2]"])
def test_a_broken_line_in_the_middle_is_named(tmp_path: Path, line: str) -> None:
    Store(tmp_path).append(record(0))
    with (tmp_path / "records.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UsageError, match=re.escape(f"no record: {line.encode()!r}")):
        Store(tmp_path).records()


def test_a_packed_store_is_read_and_gone_on_with(tmp_path: Path) -> None:
    store, beside = Store(tmp_path), Store(tmp_path)
    store.write_plan({"store": STORE_VERSION})
    for seed in range(3):
        store.append(record(seed))
    beside.records()
    store.pack()
    assert not (tmp_path / "records.jsonl").exists()
    first = (tmp_path / "records.jsonl.xz").read_bytes()
    for reader in (store, beside, Store(tmp_path)):
        assert list(reader.records().values()) == [record(seed) for seed in range(3)]
    assert not beside.append(record(1, value=1.0))
    assert beside.append(record(3))
    assert lines(tmp_path) == [record(3)]
    assert store.drop(lambda found: found["seed"] == 0) == 1
    assert [found["seed"] for found in Store(tmp_path).records().values()] == [1, 2, 3]
    store.append(record(0))
    store.pack()
    store.drop(lambda found: False)
    assert {found["seed"] for found in beside.records().values()} == {0, 1, 2, 3}
    (tmp_path / "records.jsonl.xz").write_bytes(first[:-20])
    with pytest.raises(UsageError, match=r"damaged"):
        Store(tmp_path).records()


def test_a_full_disk_leaves_a_store_that_is_packed_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.append(record(0))

    def full(*_: object, **__: object) -> bytes:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.lzma, "compress", full)
    with pytest.raises(TrainingError, match="disk is full"):
        store.pack()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lock", "records.jsonl"]
    assert list(Store(tmp_path).records().values()) == [record(0)]
