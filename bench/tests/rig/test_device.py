"""One GPU per worker, and costs that are told apart by what they were measured on."""

from __future__ import annotations

import io
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fake_methods import fake_suite
from rich.console import Console
from synthetic_store import write_store

from dcpc.training import precision
from dcpc_bench.method import TrainingSettings
from dcpc_bench.report.records import read_results
from dcpc_bench.report.wording import cost_table
from dcpc_bench.rig import overview
from dcpc_bench.rig.device import device_name, keep_one_gpu, peak_memory


@pytest.mark.parametrize(
    ("visible", "number", "kept"),
    [("0,1", 0, "0"), ("0,1", 1, "1"), ("0,1", 2, "0"), ("3,5", 1, "5"), ("2", 7, "2"), ("", 3, "")],
)
def test_workers_take_turns_at_the_visible_gpus(
    monkeypatch: pytest.MonkeyPatch, visible: str, number: int, kept: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    keep_one_gpu(number)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == kept


def test_all_gpus_are_visible_where_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")  # for monkeypatch to restore
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    keep_one_gpu(6)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2"


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is an accelerator")
def test_without_accelerator_the_processor_and_resident_memory() -> None:
    assert device_name() == "cpu"
    assert peak_memory() > 50


def test_costs_are_medians_over_the_cells_of_a_device(tmp_path: Path) -> None:
    write_store(tmp_path)
    results = read_results(tmp_path)
    method = results.methods[0]
    own = [c for c in results.cells if c.method == method]
    moved = [replace(c, device="GPU", seconds=1.0) if c is own[0] else c for c in results.cells]
    frame = cost_table(replace(results, cells=tuple(moved))).frame
    found = frame[frame["method"] == method].to_dict("records")
    assert {(r["device"], r["cells"]) for r in found} == {("GPU", "1"), ("cpu", str(len(own) - 1))}
    assert next(r for r in found if r["device"] == "GPU")["seconds"] == "1.0"


def test_costs_of_different_devices_are_not_averaged(tmp_path: Path) -> None:
    suite = fake_suite(seeds=1)
    common = {"kind": "cell", "dataset": "generated-reviews", "method": "a", "seed": 0, "status": "done"}
    common |= {"reason": None, "metrics": {}, "parameters": 10, "steps": 5}
    shown = Console(width=120, record=True, file=io.StringIO())
    one = common | {"condition": "budget=1", "device": "cpu", "seconds": 100.0, "memory_mib": 700.0}
    other = common | {"condition": "budget=all", "device": "GPU", "seconds": 4.0, "memory_mib": 40.0}
    shown.print(overview.results(suite, [one, other, one | {"method": "b"}]))
    text = shown.export_text()
    assert re.search(r"\ba\b.* 100 +700", text)
    assert "s and MiB are of the cells on cpu." in text


@pytest.mark.parametrize("native", [True, False])
def test_trainings_run_in_bf16_only_where_that_is_native(
    monkeypatch: pytest.MonkeyPatch, native: bool
) -> None:
    monkeypatch.setattr(precision, "computes_bf16", lambda: native)
    assert TrainingSettings(bf16=True).autocasts is native
    assert not TrainingSettings(bf16=False).autocasts
