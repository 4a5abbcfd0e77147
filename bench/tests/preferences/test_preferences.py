"""The suite `preferences`: methods that know raters find what sets simulated raters apart, and cells resume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from dcpc.data import Annotations
from dcpc.preference import RaterConfig, RaterModel
from dcpc_bench.preferences import routes, suite
from dcpc_bench.preferences.data import LABELS, Votes, split_units
from dcpc_bench.preferences.fitting import build, fitted, mean_loss
from dcpc_bench.preferences.methods import METHODS
from dcpc_bench.preferences.page import page, summary
from dcpc_bench.preferences.routes import ROUTES
from dcpc_bench.preferences.suite import cells
from dcpc_bench.preferences.trained import calibrate, divided
from tiny_models import save_tiny_bert


def simulated(ties: tuple[float, ...]) -> Votes:
    """Votes of raters with the same reward and these tie thresholds."""
    rng = np.random.default_rng(0)
    n, features = 300, rng.normal(size=(300, 3))
    margin = features @ np.array([1.0, 0.0, -1.0])
    pair, rater = np.tile(np.arange(n), len(ties)), np.repeat(np.arange(len(ties)), n)
    logits = np.stack([margin[pair] / 2, -margin[pair] / 2, np.array(ties)[rater]], axis=1)
    vote = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    unit = np.array([str(i % 30) for i in range(n)])
    arrays = [torch.from_numpy(values) for values in (features, pair, rater, vote)]
    return Votes(*arrays, unit, tuple(f"r{i}" for i in range(len(ties))), ("a", "b", "tie"))


def test_thresholds_of_raters_pay_where_they_differ() -> None:
    train, _, test = split_units(simulated((2.0, -2.0, 0.0)), seed=0)
    losses = {
        name: mean_loss(fitted(build(name, train, 1.0, setting), train), test)
        for name, setting in (("bradley-terry", {}), ("thresholds", {"ties": 1.2}), ("dcpc", {"ties": 1.2}))
    }
    assert losses["thresholds"] < 0.95 * losses["bradley-terry"]
    assert losses["dcpc"] == losses["thresholds"]


def test_raters_fitted_afterwards_are_found_as_those_fitted_with_the_reward() -> None:
    train, _, test = split_units(simulated((2.0, -2.0, 0.0)), seed=0)
    setting = {"ties": 1.2, "sides": 0.5}
    losses = {
        name: mean_loss(fitted(build(name, train, 1.0, setting), train), test)
        for name in ("dcpc", "raters-afterwards", "sides-then-raters")
    }
    pool = mean_loss(fitted(build("bradley-terry", train, 1.0, {}), train), test)
    assert max(losses.values()) < 0.95 * pool
    assert max(losses.values()) - min(losses.values()) < 0.02
    sided = build("sides-then-raters", train, 1.0, setting)
    weights, _ = sided.stages()
    assert [p is sided.weights for p in weights[0]] == [True], "ties say nothing to the reward"


def test_no_unit_is_in_two_parts() -> None:
    parts = [set(part.unit[part.pair.numpy()]) for part in split_units(simulated((0.0, 0.0)), seed=1)]
    assert sum(map(len, parts)) == len(set.union(*parts))


def on(base_model: str, votes: Votes) -> list[dict[str, Any]]:
    return [{"base_model": base_model, **cell} for cell in cells("simulated", votes, seed=0)]


def test_cells_of_all_methods_make_a_page() -> None:
    found = on("minilm", simulated((1.0, 0.0, -1.0)))
    assert [cell["method"] for cell in found] == list(METHODS)
    assert all(len(cell["new_raters"]) == 6 for cell in found)
    assert set(summary(found).index) == set(METHODS)
    assert "New raters" in page(found)


def test_another_base_model_has_tables_of_its_own_and_the_first_ones_stay() -> None:
    first, other = on("minilm", simulated((1.0, 0.0))), on("smollm2", simulated((2.0, -2.0)))
    alone, both = page(first), page([*other, *first])
    assert both.startswith(alone.rstrip("\n")), "nothing of minilm's tables changes"
    assert "## Features of smollm2" in both
    assert f"{other[1]['loss']:.4f}" in both.split("## Features of smollm2")[1]


def test_a_base_model_resumes_its_own_cells_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def load(name: str, folder: Path, base_model: str) -> Votes:
        read.append(base_model)
        return simulated((1.0, 0.0))

    monkeypatch.setattr(suite, "load_votes", load)
    monkeypatch.setattr(suite, "METHODS", {"bradley-terry": METHODS["bradley-terry"]})
    (tmp_path / "squality_preference").mkdir()
    old = {"base_model": "minilm", "set": "squality", "seed": 0, "method": "bradley-terry", "loss": 0.5}
    (tmp_path / "cells.jsonl").write_text(json.dumps(old) + "\n", encoding="utf-8")
    for base_model in ("minilm", "smollm2", "smollm2"):
        suite.run(tmp_path, tmp_path, ["squality"], 1, base_model)
    assert read == ["smollm2"]
    assert [cell["base_model"] for cell in suite.read_cells(tmp_path / "cells.jsonl")] == [
        "minilm",
        "smollm2",
    ]


def test_the_factor_of_margins_and_the_share_of_ties_are_found_on_validation_votes() -> None:
    rng = np.random.default_rng(0)
    margin = rng.normal(size=2000)
    logits = np.stack([1.5 * margin, -1.5 * margin, np.full(2000, 0.7)], axis=1)  # a factor of 3
    vote = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    table = pd.DataFrame({"item_id": np.arange(2000).astype(str), "text": "x", "annotator_id": "r"})
    votes = Annotations(table.assign(label=np.array(LABELS)[vote]), LABELS, "preference")
    raters = RaterModel([], LABELS, None, RaterConfig.none())
    factor = calibrate(raters, torch.from_numpy(margin).float(), votes)
    assert abs(factor - 3.0) < 0.4
    assert abs(raters.thresholds.item() - 0.7) < 0.2


def test_the_factor_of_margins_is_found_where_nobody_can_call_a_tie() -> None:
    rng = np.random.default_rng(0)
    margin = rng.normal(size=2000)
    vote = (2.0 * margin + rng.logistic(size=2000) < 0).astype(int)
    table = pd.DataFrame({"item_id": np.arange(2000).astype(str), "text": "x", "annotator_id": "r"})
    votes = Annotations(table.assign(label=np.array(["a", "b"])[vote]), ("a", "b"), "preference")
    raters = RaterModel([], ("a", "b"), None, RaterConfig.none())
    assert abs(calibrate(raters, torch.from_numpy(margin).float(), votes) - 2.0) < 0.3


def test_the_factor_of_margins_that_tell_every_vote_ends_at_its_bound() -> None:
    first = np.arange(4000) % 2 == 0
    table = pd.DataFrame({"item_id": np.arange(4000).astype(str), "text": "x", "annotator_id": "r"})
    votes = Annotations(table.assign(label=np.where(first, "a", "b")), LABELS, "preference")
    raters = RaterModel([], LABELS, None, RaterConfig.none())
    factor = calibrate(raters, torch.from_numpy(np.where(first, 0.02, -0.02)).float(), votes)
    assert np.isclose(factor, np.exp(5))
    assert raters.thresholds.isfinite().all()


def test_trained_cells_have_a_table_of_their_own() -> None:
    shared = {"set": "s", "pairs": 500, "side_accuracy": 0.6, "base_model": "minilm"}
    lines = [
        {
            **shared,
            "seed": seed,
            "method": name,
            "loss": loss,
            "unit_losses": {"u": [loss, 1], "v": [loss, 1]},
            "plain_loss": loss / 2,
            "plain_unit_losses": {"u": [loss / 2, 1], "v": [loss / 2, 1]},
        }
        for seed in (0, 1)
        for name, loss in (("dcpc", 0.9), ("dcpc-raters-off", 1.0), ("lore", 0.8))
        if name != "lore" or seed == 0
    ]
    found = page(on("minilm", simulated((1.0, 0.0))), lines)
    assert "0.4500, 60.0 %; -10.00 %" in found
    assert "0.9000, 60.0 %; -10.00 %" in found
    assert "n = 1: 0.8000, 60.0 %; -20.00 %" in found
    assert "TRL RewardTrainer, majority | –" in found


def test_a_set_is_divided_by_prompt(shared_data: Path) -> None:
    parts, unit = divided(shared_data, "mt_bench_human", 0, 60)
    units = [set(unit[part.table["item_id"]]) for part in parts]
    assert sum(map(len, units)) == len(set.union(*units))
    assert sum(part.n_items for part in parts) == 60


def test_trls_head_trains_at_the_rate_that_ours_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trl")
    base = save_tiny_bert(tmp_path / "base", mean_pooling=True)
    monkeypatch.setattr(routes, "RATE", 1e-5)
    rows = [(f"i{n}", "room", "good film", "bad film", "ann", "ab"[n % 3 == 0]) for n in range(16)]
    names = ["item_id", "text", "response_a", "response_b", "annotator_id", "label"]
    votes = Annotations(pd.DataFrame(rows, columns=names), ("a", "b"), "preference")
    route = {methods[0]: train for methods, train in ROUTES}
    rewards = [
        route[method](votes, 0, str(base)).reward(["room"] * 2, ["good film", "bad film"])
        for method in ("trl-votes", "trl-votes-head")
    ]
    moved = [abs(each[0] - each[1]) for each in rewards]
    assert abs(moved[0] - moved[1]) > 1e-3, "two steps at 0.02 are seen, and at 1e-5 they are not"
