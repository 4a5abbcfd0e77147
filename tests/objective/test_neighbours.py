"""What a slider's judgement says of the steps around it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dcpc.data import Annotations
from dcpc.objective.neighbours import SHARES, fitted_targets, left_out_likelihood, slider_targets, targets
from dcpc.regression.logistic import Judged, fit_logistic


@pytest.mark.parametrize("width", [0.5, 4.0, 25.0])
@pytest.mark.parametrize("share", SHARES)
def test_a_target_is_a_distribution_that_falls_with_the_distance(width: float, share: float) -> None:
    of_steps = targets(101, width, share)
    np.testing.assert_allclose(of_steps.sum(axis=1), 1)
    assert (np.diff(of_steps[40, 40:]) < 0).all()
    assert (np.diff(of_steps[40, :41]) > 0).all()
    assert (of_steps > 0).all()


def test_no_share_leaves_the_label_alone() -> None:
    np.testing.assert_array_equal(targets(5, 2.0, 0.0), np.eye(5))


def test_smooth_values_reach_further_than_those_left_at_three_places() -> None:
    rng = np.random.default_rng(0)
    smooth = np.bincount(rng.normal(50, 15, 400).round().clip(0, 100).astype(int), minlength=101)
    heaped = np.bincount(rng.choice([0, 50, 100], 400), minlength=101)
    assert fitted_targets(smooth)[50, 55] > 20 * fitted_targets(heaped)[50, 55]
    assert fitted_targets(heaped)[50, 50] > 0.9


def test_the_chosen_target_predicts_judgements_that_were_left_out_best() -> None:
    counts = np.bincount(np.random.default_rng(1).integers(20, 60, 80), minlength=101)
    chosen = left_out_likelihood(counts, fitted_targets(counts))
    for width, share in [(0.5, 0.1), (25.0, 1.0), (3.0, 0.5)]:
        assert chosen >= left_out_likelihood(counts, targets(101, width, share)) - 1e-9


@pytest.mark.parametrize("counts", [[0] * 11, [0] * 5 + [1] + [0] * 5, [0, 1]])
def test_a_single_judgement_or_none_gives_targets_too(counts: list[int]) -> None:
    np.testing.assert_allclose(fitted_targets(np.array(counts)).sum(axis=1), 1)


def test_labels_that_are_no_slider_have_no_neighbours() -> None:
    table = pd.DataFrame({"item_id": ["1", "2"], "text": ["a", "b"], "label": ["1", "3"]})
    assert slider_targets(Annotations(table, ("1", "2", "3"), "ordinal")) is None
    found = slider_targets(Annotations(table, ("1", "2", "3"), "ordinal", range=(1, 3)))
    assert found is not None
    assert found[0, 1] > found[0, 2] > 0


def test_the_regression_gives_unseen_steps_the_probability_of_their_neighbours() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 1))
    given = (2 * (10 + 3 * x[:, 0] + rng.normal(size=300)).round()).clip(0, 40).astype(int)  # even steps only
    judged = Judged(x, np.arange(300), given, np.full(300, -1), 1, 41)
    of_steps = fitted_targets(np.bincount(given, minlength=41))
    alone = fit_logistic(judged, 1.0).consensus(np.zeros((1, 1)))[0]
    spread = fit_logistic(Judged(x, np.arange(300), given, np.full(300, -1), 1, 41, of_steps), 1.0).consensus(
        np.zeros((1, 1))
    )[0]
    assert spread[19] > 20 * alone[19]
    assert spread[19] > spread[35]  # far away little is to be expected
