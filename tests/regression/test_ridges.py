"""Ridges of weights and effects are chosen together, by predictions of items that were held out."""

from __future__ import annotations

import numpy as np
import pytest

from dcpc.errors import UsageError
from dcpc.regression.logistic import Judged
from dcpc.regression.ridges import choose_ridges
from strict_and_lenient import ITEMS, judged, simulated

RIDGES = tuple(10.0**k for k in range(-1, 7))
EFFECT_RIDGES = tuple(10.0**k for k in range(-2, 5))


def test_ridges_are_chosen_together_where_annotators_hide_what_the_features_say() -> None:
    """Thresholds so far apart that without effects the best ridge is far too strong."""
    together, apart = [], []
    for seed in range(3):
        features, annotations, _ = simulated(6.0, seed)
        data = judged(features, annotations)
        folds = np.arange(ITEMS) % 4
        chosen = choose_ridges(data, folds, RIDGES, EFFECT_RIDGES)
        together.append(chosen.choice.loss)
        without = choose_ridges(data, folds, RIDGES).ridge
        apart.append(choose_ridges(data, folds, (without,), EFFECT_RIDGES).choice.loss)
        assert chosen.ridge < without
        assert chosen.held_out.shape == (ITEMS, 2)
    assert np.mean(together) < np.mean(apart)


def test_held_out_predictions_come_from_probes_that_did_not_see_the_item() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 200))  # more directions than items: everything can be learned
    labels = rng.integers(2, size=60)
    data = Judged(features, np.arange(60), labels, np.full(60, -1), 1, 2)
    held_out = choose_ridges(data, np.arange(60) % 4, RIDGES).held_out
    assert -np.log(held_out[np.arange(60), labels]).mean() > 0.6  # random labels cannot be predicted


def test_the_strongest_effect_ridge_is_no_edge_and_the_weakest_is() -> None:
    folds, grid = np.arange(ITEMS) % 4, (10.0, 1e4)
    for effect, best, edges in ((6.0, 10.0, ("effect_ridge",)), (0.0, 1e4, ())):
        features, annotations, _ = simulated(effect)
        chosen = choose_ridges(judged(features, annotations), folds, (1.0,), grid)
        assert (chosen.effect_ridge, chosen.choice.on_edge) == (best, edges)


def test_a_grid_without_a_finite_loss_is_refused() -> None:
    data = Judged(np.full((8, 2), np.nan), np.arange(8), np.arange(8) % 2, np.full(8, -1), 1, 2)
    with pytest.raises(UsageError, match="finite"):
        choose_ridges(data, np.arange(8) % 4, (1.0, 10.0))
