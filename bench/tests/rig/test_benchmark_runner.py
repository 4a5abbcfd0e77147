"""Cells run once and are kept, whoever runs them and however often they are killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmark_helpers import same_records
from fake_methods import FakeMethod, cut_off, fake_suite, install, killed

from dcpc.errors import DataError, UsageError
from dcpc.evaluation.decision import decide, fit_offsets
from dcpc.evaluation.measure import evaluate_distribution
from dcpc.tuner.config import PRESETS as ADAPTERS
from dcpc_bench.rig import workers
from dcpc_bench.rig.jobs import jobs
from dcpc_bench.rig.rerun import begin_rerun, end_rerun, unfinished_rerun
from dcpc_bench.rig.runner import run_suite
from dcpc_bench.rig.store import Record, Store
from dcpc_bench.rig.workers import Worker

FORK = multiprocessing.get_context("fork")


def run(output: Path, **changes: Any) -> dict:
    options = {
        name: changes.pop(name)
        for name in ("retry_failed", "rerun", "workers", "progress")
        if name in changes
    }
    return run_suite(fake_suite(**changes), output, **{"workers": 0, "progress": False, **options})


def trainings(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def test_every_cell_has_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeMethod("a", own=True), FakeMethod("b", best=1.0))
    records = run(tmp_path)
    kinds = [r["kind"] for r in records.values()]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"search": 4, "split": 4, "cell": 8}
    cell = records["cell", "generated-reviews", "budget=1", "b", 1]
    split = records["split", "generated-reviews", "budget=1", None, 1]
    assert cell["status"] == "done"
    assert cell["reason"] is None
    assert (cell["setting"]["learning_rate"], cell["on_edge"]) == (1.0, ["learning_rate"])
    assert cell["history"] == [{"epoch": 1.0, "loss": 0.5, "eval_loss": None}]
    assert cell["parameters"] == 100
    assert cell["memory_mib"] > 10
    assert cell["seconds"] >= 0
    n = len(split["items"])
    assert n == 20
    counts, p = np.array(split["counts"]), np.array(cell["distribution"])
    assert counts.sum(axis=1).tolist() == [3] * n
    assert [len(cell[f]) for f in ("distribution", "decisions", "person_errors")] == [n] * 3
    assert len(cell["validation_distribution"]) == len(split["validation_counts"])
    # Whoever changes a metric or the decisions need not train anew: all of them follow from what is stored.
    again = evaluate_distribution(p / p.sum(axis=1, keepdims=True), counts, "nominal", cell["decisions"])
    for name, value in again.items():
        assert cell["metrics"][name] == pytest.approx(value, abs=1e-3), name
    judged = np.argwhere(np.array(split["validation_counts"]))  # one judgement per item: [V, (item, label)]
    seen = np.array(cell["validation_distribution"])[judged[:, 0]]
    assert decide(p, fit_offsets(seen, judged[:, 1])).tolist() == cell["decisions"]
    assert cell["metrics"]["judgement_error"] == pytest.approx(sum(cell["person_errors"]) / (3 * n))
    assert cell["metrics"]["judgement_error"] == cell["metrics"]["consensus_judgement_error"]
    own = records["cell", "generated-reviews", "budget=1", "a", 1]["metrics"]
    assert own["judgement_error"] != own["consensus_judgement_error"]


def test_a_method_without_a_part_takes_the_setting_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, FakeMethod("a", best=0.01), FakeMethod("b", best=1.0, searched_as="a"))
    records = run(tmp_path, conditions=["budget=1"])
    assert [key[3] for key in records if key[0] == "search"] == ["a"]
    settings = {r["method"]: r["setting"]["learning_rate"] for r in records.values() if r["kind"] == "cell"}
    assert settings == {"a": 0.01, "b": 0.01}


def test_the_first_seed_is_complete_before_the_second_starts() -> None:
    order = [job.seed for job in jobs(fake_suite(methods=["a", "linear-probe"]))]
    assert order == sorted(order)  # type: ignore[type-var]
    assert jobs(fake_suite(methods=["full", "a", "linear-probe"], reference="a"))[0].method == "linear-probe"


def test_a_second_run_trains_nothing_and_more_seeds_only_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    install(monkeypatch, FakeMethod("a", log=log), FakeMethod("b", log=log))
    first = run(tmp_path / "out")
    done = len(trainings(log))
    assert same_records(run(tmp_path / "out"), first)
    assert len(trainings(log)) == done
    assert len(run(tmp_path / "out", seeds=3)) == len(first) + 4 + 2
    assert len(trainings(log)) == done + 4


def test_a_run_killed_ten_times_ends_like_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, FakeMethod("a", pause=0.01), FakeMethod("b", pause=0.01))
    calm = run(tmp_path / "calm")
    started = time.perf_counter()
    run(tmp_path / "timed")  # the first run also imports what the others then have
    length = time.perf_counter() - started
    dice, kills = random.Random(0), 0
    for _ in range(10):
        process = FORK.Process(target=run, args=(tmp_path / "killed",))
        process.start()
        time.sleep(dice.uniform(0, length / 4))
        process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
    assert kills >= 3
    assert same_records(run(tmp_path / "killed"), calm)
    assert len((tmp_path / "killed" / "records.jsonl").read_text().splitlines()) == len(calm)


def test_workers_share_a_store_and_run_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    install(monkeypatch, FakeMethod("a", log=log, pause=0.02), FakeMethod("b", log=log, pause=0.02))
    processes = [FORK.Process(target=run, args=(tmp_path / "shared",)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [p.exitcode for p in processes] == [0, 0, 0]
    n = len(trainings(log))
    alone = run(tmp_path / "alone")
    assert len(trainings(log)) == 2 * n
    assert same_records(Store(tmp_path / "shared").records(), alone)


def test_a_failure_is_recorded_with_its_reason_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(
        monkeypatch,
        FakeMethod("a", error=RuntimeError("two\nlines")),
        FakeMethod("b", overlap=True),
    )
    records = run(tmp_path, seeds=1)
    cell = {(k[2], k[3]): r for k, r in records.items() if k[0] == "cell"}
    assert cell["budget=1", "a"]["reason"] == cell["budget=all", "a"]["reason"] == "RuntimeError: two lines"
    assert "two judgements" in cell["budget=1", "b"]["reason"]
    assert [cell[c, "b"]["status"] for c in ("budget=1", "budget=all")] == ["failed", "done"]
    install(monkeypatch, FakeMethod("a"), FakeMethod("b", overlap=True))
    assert run(tmp_path, seeds=1)["cell", "generated-reviews", "budget=1", "a", 0]["status"] == "failed"
    again = run(tmp_path, seeds=1, retry_failed=True)
    assert {r["method"] for r in again.values() if r.get("status") == "failed"} == {"b"}


def test_a_cell_without_a_setting_names_the_condition_that_was_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, FakeMethod("a", error=RuntimeError("no luck")), FakeMethod("b"))
    records = run(tmp_path, seeds=1, search={"trials": 2, "fractions": [1.0], "condition": "budget=1"})
    reasons = {k[2]: r["reason"] for k, r in records.items() if k[0] == "cell" and k[3] == "a"}
    assert reasons["budget=1"] == "RuntimeError: no luck"
    assert reasons["budget=all"] == "no setting was found in budget=1: RuntimeError: no luck"


def test_rerun_drops_one_method_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    install(monkeypatch, FakeMethod("a", log=log), FakeMethod("b", log=log))
    run(tmp_path / "out")
    log.unlink()
    run(tmp_path / "out", rerun=["b"])
    assert {line.split()[0] for line in trainings(log)} == {"b"}
    with pytest.raises(UsageError, match="Did you mean"):
        run(tmp_path / "out", rerun=["bb"])


def test_a_rerun_that_was_stopped_goes_on_and_the_next_one_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, out = tmp_path / "log", tmp_path / "out"
    install(monkeypatch, FakeMethod("a", log=log), FakeMethod("b", log=log))

    def trained_in(**options: Any) -> int:
        log.unlink(missing_ok=True)
        with suppress(KeyboardInterrupt):
            run(out, **options)
        return len(trainings(log))

    everything = trained_in() // 2
    append, kept = Store.append, []

    def stop_at_the_third_cell(store: Store, record: Record) -> bool:
        kept.extend([record] if record["kind"] == "cell" else [])
        if len(kept) == 3:
            raise KeyboardInterrupt
        return append(store, record)

    monkeypatch.setattr(Store, "append", stop_at_the_third_cell)
    before_the_stop = trained_in(rerun=["b"])
    monkeypatch.setattr(Store, "append", append)
    assert 0 < before_the_stop < everything
    assert (
        before_the_stop + trained_in(rerun=["b"]) == everything + 1
    )  # the cell of the stop was trained twice
    assert trained_in(rerun=["b"]) == everything


def test_another_command_does_not_end_a_rerun_that_was_stopped(tmp_path: Path) -> None:
    store = Store(tmp_path)
    begin_rerun(store, ["a", "b"])
    end_rerun(store, ["b"])
    assert unfinished_rerun(store) == {"a"}
    end_rerun(store, [])
    assert unfinished_rerun(store) == {"a"}
    end_rerun(store, ["a"])
    assert unfinished_rerun(store) == set()


def test_a_rerun_names_those_that_share_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeMethod("a"), FakeMethod("b", searched_as="a"))
    run(tmp_path)
    before = (tmp_path / "records.jsonl").read_bytes()
    with pytest.raises(UsageError, match="cells of b are there") as error:
        run(tmp_path, rerun=["a"])
    assert "--rerun a,b" in str(error.value.fix)
    assert (tmp_path / "records.jsonl").read_bytes() == before
    run(tmp_path, rerun=["a", "b"])
    run(tmp_path, rerun=["b"])


def test_conditions_may_hold_any_character(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    with store.locked():
        pass
    claim = store.claim(("cell", "a/b", "group=politic:Liberal/Progressive>" + 300 * "x", "lora", 0))
    assert claim is not None
    os.close(claim)


def test_a_method_that_needs_overlap_is_not_searched_where_every_item_has_one_label(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(monkeypatch, FakeMethod("a"), FakeMethod("b", needs_overlap=True))
    suite = fake_suite(search={"trials": 2, "fractions": [1.0], "condition": "budget=1"})
    searched = {(t.method, t.condition, t.searched_in) for t in jobs(suite) if t.condition == "budget=all"}
    assert searched == {("a", "budget=all", "budget=1"), ("b", "budget=all", "budget=all")}


def test_other_settings_or_data_are_refused_and_nothing_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, FakeMethod("a"), FakeMethod("b"))
    run(tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.glob("*.json*")}
    with pytest.raises(UsageError, match=r"`training.epochs` is 5.0 there and 7.0 here"):
        run(tmp_path, training={"epochs": 7})
    with pytest.raises(UsageError, match=r"`caps\.train` is 30 there"):
        run(tmp_path, caps={"train": 20, "validation": 10, "test": 20})
    with pytest.raises(UsageError, match="generated-reviews, or what"):
        run(tmp_path, datasets=[{"name": "generated-reviews", "scale": "nominal"}])
    assert {p: p.read_bytes() for p in tmp_path.glob("*.json*")} == before


def test_mistakes_are_found_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, FakeMethod("lora"))
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="Did you mean lora"):
        run(out, methods=["lorra"], reference="lorra")
    with pytest.raises(UsageError, match="--data-folder"):
        run(out, methods=["lora"], reference="lora", datasets=["nowhere"])
    (tmp_path / "few.csv").write_text("item_id,text,annotator_id,label\n1,a,x,yes\n2,b,x,no\n")
    with pytest.raises(DataError, match="too few"):
        run(
            out,
            methods=["lora"],
            reference="lora",
            datasets=[{"name": "few", "path": str(tmp_path / "few.csv")}],
        )
    assert not out.exists()


@pytest.mark.parametrize("ends", [killed, cut_off])
def test_a_process_that_dies_is_a_failed_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: Callable[..., None]
) -> None:
    install(monkeypatch, FakeMethod("a"))
    monkeypatch.setattr(workers, "_work", ends)
    records = run(tmp_path, methods=["a"], seeds=1, conditions=["budget=1"], workers=1)
    cell = records["cell", "generated-reviews", "budget=1", "a", 0]
    assert cell["status"] == "failed"
    assert "signal 9" in cell["reason"]
    assert os.listdir(tmp_path / "claims")


def test_records_are_strict_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeMethod("a"), FakeMethod("b"))
    run(tmp_path, conditions=["clean"])

    def refuse(name: str) -> float:
        raise AssertionError(f"{name} is no JSON")

    for line in (tmp_path / "records.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=refuse)


def test_the_plan_gathers_what_narrowed_runs_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data sets, and the conditions of a set that has its own, add up from one command to the next."""
    install(monkeypatch, FakeMethod("a"))
    for conditions in (["clean"], ["pool=thresholds@0.3"]):
        run(
            tmp_path,
            methods=["a"],
            seeds=1,
            datasets=[{"name": "generated-reviews", "conditions": conditions}],
        )
    (dataset,) = json.loads((tmp_path / "plan.json").read_text())["suite"]["datasets"]
    assert dataset["conditions"] == ["clean", "pool=thresholds@0.3"]


def test_a_condition_is_only_added_where_it_was_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan does not ask for cells that no command asked for."""
    install(monkeypatch, FakeMethod("a"))
    rows = [f"{i},text {i},{who},{'yes' if i % 3 else 'no'}\n" for i in range(80) for who in ("ann", "bob")]
    (tmp_path / "other.csv").write_text("item_id,text,annotator_id,label\n" + "".join(rows))
    one, other = {"name": "generated-reviews"}, {"name": "other", "path": str(tmp_path / "other.csv")}
    out = tmp_path / "out"
    common: dict[str, Any] = {"methods": ["a"], "seeds": 1}
    run(out, datasets=[one, other], conditions=["budget=1"], **common)
    run(out, datasets=[one], conditions=["clean"], **common)
    datasets = json.loads((out / "plan.json").read_text())["suite"]["datasets"]
    assert {d["name"]: d["conditions"] for d in datasets} == {
        "generated-reviews": ["budget=1", "clean"],
        "other": ["budget=1"],
    }


def test_running_workers_have_different_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a free GPU is used before one is shared, in whatever order tasks end."""
    running: list[int] = []

    class Numbered(Worker):
        def __init__(self, *args: Any, number: int, **options: Any) -> None:
            assert number in {0, 1} - set(running)
            running.append(number)
            super().__init__(*args, number=number, **options)

        def close(self) -> None:
            running.remove(self.number)
            super().close()

    monkeypatch.setattr(workers, "Worker", Numbered)
    install(monkeypatch, FakeMethod("a"), FakeMethod("b"))
    run(tmp_path, workers=2)
    assert running == []


def test_a_store_of_another_dcpc_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells of one name must be of one method, though its preset changes from one version to the next."""
    install(monkeypatch, FakeMethod("a"))
    run(tmp_path, methods=["a"], seeds=1)
    before = (tmp_path / "records.jsonl").read_bytes()
    monkeypatch.setitem(ADAPTERS["default"], "bottleneck", 7)
    with pytest.raises(UsageError, match=r"`presets.default.adapter.bottleneck` is 12 there and 7 here"):
        run(tmp_path, methods=["a"], seeds=2)
    assert (tmp_path / "records.jsonl").read_bytes() == before


def test_the_bar_of_a_resumed_run_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It starts where the run was, and shows every cell that ends, however many were there before."""
    install(monkeypatch, FakeMethod("a", pause=0.15))
    run(tmp_path, methods=["a"], seeds=3)
    run(tmp_path, methods=["a"], seeds=5, progress=True, workers=1)
    shown = capsys.readouterr().err
    assert [n for n in range(11) if f" {n}/10 " in shown] == [6, 7, 8, 9, 10]
