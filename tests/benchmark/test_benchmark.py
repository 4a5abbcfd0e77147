"""The benchmark compares fairly, goes on where it was stopped, and reports failures instead of dying of them."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from dcpc.benchmark import runner
from dcpc.benchmark.methods import METHODS, Settings, vote
from dcpc.benchmark.runner import run_benchmark
from dcpc.benchmark.summary import compare, to_markdown
from dcpc.data.annotations import Annotations
from dcpc.errors import DataError, UsageError
from tiny_models import judgements, save_tiny_bert, sentiment_judgements

PROBES = ["linear-probe", "linear-probe-annotators"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    model = save_tiny_bert(tmp_path_factory.mktemp("base") / "model", mean_pooling=True)
    return Settings(model, epochs=1, learning_rates=(1e-3, 1e-2))


@pytest.fixture(scope="module")
def annotations() -> Annotations:
    return sentiment_judgements(48)


def contents(folder: Path) -> dict[str, dict]:
    """All cells of a store without their times."""
    cells = {p.name: json.loads(p.read_text()) for p in (folder / "cells").glob("[!.]*-*.json")}
    return {name: {k: v for k, v in cell.items() if k != "seconds"} for name, cell in cells.items()}


def test_every_method_gives_a_distribution_of_the_same_items(
    annotations: Annotations, settings: Settings, tmp_path: Path
) -> None:
    results = run_benchmark(
        annotations, settings, tmp_path, methods=list(METHODS), budgets=["all"], n_seeds=1, progress=False
    )
    assert not [r["failed"] for r in results if "failed" in r]
    assert {tuple(r["items"]) for r in results} == {tuple(results[0]["items"])}
    assert all(r["parameters"] > 0 and np.isfinite(r["metrics"]["cross_entropy"]) for r in results)
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert {line["method"] for line in lines} == set(METHODS)
    assert "dcpc minus the other" in (tmp_path / "results.md").read_text()


def test_a_run_killed_at_random_ends_like_an_undisturbed_one(
    annotations: Annotations, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {"methods": PROBES, "n_seeds": 2, "progress": False}
    run_benchmark(annotations, settings, tmp_path / "calm", **arguments)
    dice, measured, real = random.Random(0), [], runner.run_cell

    def disturbed(cell, *rest):  # type: ignore[no-untyped-def]
        if dice.random() < 0.3:
            raise KeyboardInterrupt
        if not cell.path(rest[-1]).exists():
            measured.append(cell)
        return real(cell, *rest)

    monkeypatch.setattr(runner, "run_cell", disturbed)
    for _ in range(500):
        try:
            run_benchmark(annotations, settings, tmp_path / "killed", **arguments)
            break
        except KeyboardInterrupt:
            continue
    assert contents(tmp_path / "killed") == contents(tmp_path / "calm")
    assert len(measured) == len(set(measured)) == 8


def test_a_method_that_does_not_fit_is_recorded_and_the_rest_goes_on(
    annotations: Annotations, settings: Settings, tmp_path: Path
) -> None:
    nameless = Annotations(annotations.table.drop(columns="annotator_id"), annotations.labels)
    results = run_benchmark(
        nameless, settings, tmp_path, methods=PROBES, budgets=[1], n_seeds=1, progress=False
    )
    assert [("failed" in r) for r in results] == [False, True]
    assert "two annotators" in (tmp_path / "results.md").read_text()


def test_another_benchmark_in_the_folder_is_not_mixed_in(
    annotations: Annotations, settings: Settings, tmp_path: Path
) -> None:
    arguments = {"methods": PROBES[:1], "budgets": [1], "n_seeds": 1, "progress": False}
    run_benchmark(annotations, settings, tmp_path, **arguments)
    with pytest.raises(UsageError, match="other data or settings"):
        run_benchmark(sentiment_judgements(40), settings, tmp_path, **arguments)


def test_mistakes_are_found_before_any_work(
    annotations: Annotations, settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="Did you mean linear-probe"):
        run_benchmark(annotations, settings, tmp_path, methods=["linear-prob"])
    with pytest.raises(DataError, match="too few"):
        run_benchmark(sentiment_judgements(2), settings, tmp_path, methods=PROBES)
    assert not list(tmp_path.iterdir())


def test_voting_keeps_one_judgement_of_the_majority() -> None:
    rows = [("i", "t", a, label) for a, label in (("x", "yes"), ("y", "no"), ("z", "no"))]
    rows += [("j", "u", "x", "yes"), ("j", "u", "y", "no"), ("k", "v", "x", "yes")]
    assert vote(judgements(rows)).table[["item_id", "label"]].to_numpy().tolist() == [
        ["i", "no"],
        ["k", "yes"],
    ]


def cells(method: str, divergence: float) -> list[dict]:
    rng, n = np.random.default_rng(len(method)), 50
    return [
        {
            "method": method,
            "budget": 1,
            "seed": s,
            "seconds": 1.0,
            "parameters": 10,
            "on_edge": [],
            "items": [f"i{i}" for i in range(n)],
            "jensen_shannon": (divergence + rng.normal(0, 0.02, n)).tolist(),
            "majority": [-1] * n,
            "decisions": [0] * n,
            "metrics": dict.fromkeys(("macro_f1", "accuracy", "cross_entropy", "jensen_shannon", "ece"), 0.5),
        }
        for s in range(3)
    ]


def test_the_table_tells_a_loss_as_plainly_as_a_win() -> None:
    worse, better = cells("dcpc", 0.3), cells("other", 0.1)
    result = compare(worse, better, "jensen_shannon")
    assert result.difference == pytest.approx(0.2, abs=0.01)
    assert result.p_value < 0.01
    page = to_markdown(worse + better, "dcpc")
    assert "| jensen_shannon | other | +0.2" in page
    assert "| macro_f1 | other" not in page  # every item is tied: nothing to compare
