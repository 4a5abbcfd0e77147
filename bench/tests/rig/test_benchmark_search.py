"""The search spends the same on every method and says where its grid was too narrow."""

from __future__ import annotations

import math

import pytest

from dcpc.errors import TrainingError
from dcpc_bench.method import MIDDLE_RATES, grid
from dcpc_bench.rig.search import draw_trials, rungs, select
from dcpc_bench.rig.suite import Search, load_suite

GRID = {"learning_rate": (1e-4, 1e-3, 1e-2, 1e-1), "weight_decay": (0.0, 0.1), "dropout": (0.0, 0.1, 0.3)}


def test_trials_are_different_points_spread_over_every_axis() -> None:
    trials = draw_trials(GRID, 8)
    assert len({tuple(t.values()) for t in trials}) == 8
    for axis, values in GRID.items():
        assert {t[axis] for t in trials} == set(values)
    assert trials == draw_trials(GRID, 8)


def test_more_trials_are_the_same_ones_and_others() -> None:
    assert draw_trials(GRID, 9)[:5] == draw_trials(GRID, 5)


def test_the_small_suites_try_middle_rates_with_and_without_decay() -> None:
    """A rate that is only tried at one decay would tie the two, and a method may need them apart."""
    trials = draw_trials(grid(), load_suite("real-small").search.trials)
    for rate in MIDDLE_RATES[1:4]:
        assert {0.0} < {t["weight_decay"] for t in trials if t["learning_rate"] == rate}, rate


def test_a_small_grid_is_tried_whole() -> None:
    assert draw_trials({"l2": (1, 2, 3)}, 8) == [{"l2": 1}, {"l2": 2}, {"l2": 3}]
    assert draw_trials({}, 8) == [{}]


def test_halving_keeps_the_best_and_trains_them_longer() -> None:
    seen = []

    def loss(setting: dict, epochs: float) -> float:
        seen.append((setting["learning_rate"], epochs))
        return abs(math.log10(setting["learning_rate"]) + 2) + 1 / epochs

    found = select(
        {"learning_rate": GRID["learning_rate"]}, Search(trials=4, fractions=[0.5, 1.0], keep=0.5), 4, loss
    )
    assert seen[:4] == [(rate, 2.0) for rate in GRID["learning_rate"]]
    assert sorted(seen[4:]) == [(1e-2, 4.0), (1e-1, 4.0)] or sorted(seen[4:]) == [(1e-3, 4.0), (1e-2, 4.0)]
    assert found["setting"] == {"learning_rate": 1e-2}
    assert found["on_edge"] == []
    assert [t["epochs"] for t in found["trials"]] == [2.0] * 4 + [4.0] * 2


def test_every_method_gets_the_same_number_of_trainings() -> None:
    search = Search(trials=8, fractions=[0.25, 0.5, 1.0], keep=0.34)
    assert rungs(8, search) == [(8, 0.25), (3, 0.5), (2, 1.0)]
    counts = []
    for losses in ((1.0, 2.0), (2.0, 1.0)):
        calls: list[float] = []
        select(
            GRID,
            search,
            4,
            lambda s, e, losses=losses, calls=calls: calls.append(e) or losses[s["dropout"] > 0],
        )
        counts.append(calls)
    assert counts[0] == counts[1]


def test_a_diverged_setting_loses_and_is_recorded() -> None:
    def loss(setting: dict, epochs: float) -> float:
        if setting["learning_rate"] == 1e-1:
            raise TrainingError("the loss is no number")
        return math.nan if setting["learning_rate"] == 1e-2 else 1.0

    found = select({"learning_rate": GRID["learning_rate"]}, Search(trials=4, fractions=[1.0]), 1, loss)
    assert [t["loss"] for t in found["trials"]] == [1.0, 1.0, None, None]
    with pytest.raises(TrainingError, match="no setting"):
        select({"learning_rate": (1e-2, 1e-1)}, Search(trials=4), 1, loss)


def test_a_single_setting_is_chosen_without_a_training() -> None:
    def trained(*_: object) -> float:
        raise AssertionError

    assert select({}, Search(), 3, trained) == {"trials": [], "setting": {}, "on_edge": []}
