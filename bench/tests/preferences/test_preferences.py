"""The suite `preferences`: methods that know raters find what sets simulated raters apart, and cells resume."""

from __future__ import annotations

import numpy as np
import torch

from dcpc_bench.preferences.data import Votes, split_units
from dcpc_bench.preferences.fitting import build, fitted, mean_loss
from dcpc_bench.preferences.methods import METHODS
from dcpc_bench.preferences.page import page, summary
from dcpc_bench.preferences.suite import cells


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


def test_no_unit_is_in_two_parts() -> None:
    parts = [set(part.unit[part.pair.numpy()]) for part in split_units(simulated((0.0, 0.0)), seed=1)]
    assert sum(map(len, parts)) == len(set.union(*parts))


def test_cells_of_all_methods_make_a_page() -> None:
    found = list(cells("simulated", simulated((1.0, 0.0, -1.0)), seed=0))
    assert [cell["method"] for cell in found] == list(METHODS)
    assert all(len(cell["new_raters"]) == 6 for cell in found)
    assert set(summary(found).index) == set(METHODS)
    assert "New raters" in page(found)
