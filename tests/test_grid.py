"""A grid says where it was too narrow."""

from __future__ import annotations

from dcpc.grid import on_edge

GRID = {"learning_rate": (1e-4, 1e-3, 1e-2, 1e-1), "weight_decay": (0.0, 0.1), "dropout": (0.0, 0.1, 0.3)}


def test_an_optimum_on_the_edge_is_said() -> None:
    assert on_edge(GRID, {"learning_rate": 1e-1, "weight_decay": 0.0, "dropout": 0.1}) == ["learning_rate"]
    assert on_edge(GRID, {"learning_rate": 1e-2, "weight_decay": 0.1}) == ["weight_decay"]
    assert on_edge({"rate": (1, 2, 3)}, {"rate": 1}) == ["rate"]
    assert on_edge({"only": (3,)}, {"only": 3}) == []


def test_an_end_beyond_which_nothing_lies_is_no_edge() -> None:
    assert on_edge({"decay": (0, 1, 2)}, {"decay": 0}) == []
    ridges = {"ridge": (1, 2, 3)}
    assert on_edge(ridges, {"ridge": 3}, bounded=("ridge",)) == []
    assert on_edge(ridges, {"ridge": 1}, bounded=("ridge",)) == ["ridge"]
