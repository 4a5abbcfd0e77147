"""The regression equals scikit-learn without effects, and finds annotator effects where there are some."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from dcpc.regression.logistic import Judged, Logistic, fit_logistic
from strict_and_lenient import ITEMS, A, H, judged, simulated


def test_several_judgements_of_an_item_count_like_items_of_their_own() -> None:
    features, annotations, _ = simulated(1.0)
    alone = judged(features, annotations)
    rng = np.random.default_rng(1)
    items = rng.integers(50, size=ITEMS)
    shared = Judged(features[:50], items, alone.labels, alone.annotators, A, 2)
    apart = Judged(features[:50][items], np.arange(ITEMS), alone.labels, alone.annotators, A, 2)
    np.testing.assert_allclose(
        fit_logistic(shared, 1.0, 1.0).weights, fit_logistic(apart, 1.0, 1.0).weights, atol=1e-4
    )


def test_a_part_of_the_items_keeps_their_judgements() -> None:
    features, annotations, _ = simulated(1.0)
    kept = np.arange(ITEMS) % 3 == 0
    part = judged(features, annotations).of_items(kept)
    rows = kept[annotations.item_codes]
    np.testing.assert_array_equal(part.features[part.items], features[annotations.item_codes[rows]])
    np.testing.assert_array_equal(part.labels, annotations.label_codes[rows])


@pytest.mark.parametrize("ridge", [0.1, 10.0])
def test_without_effects_it_is_scikit_learns_regression(ridge: float) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, H)), rng.integers(3, size=200)
    expected = LogisticRegression(C=1 / ridge, tol=1e-8, max_iter=2000).fit(x, y).predict_proba(x)
    model = fit_logistic(Judged(x, np.arange(200), y, np.full(200, -1), 1, 3), ridge)
    np.testing.assert_allclose(model.consensus(x), expected, atol=1e-3)


def test_effects_are_a_ridge_on_annotator_dummies() -> None:
    features, annotations, _ = simulated(1.5)
    y, a = annotations.label_codes, annotations.annotator_codes
    model = fit_logistic(judged(features, annotations), ridge=2.0, effect_ridge=2.0)
    dummies = np.hstack([features, np.eye(A)[a]])
    # A sigmoid of two labels has one weight w = w_1 − w_0, so its ridge counts half.
    reference = LogisticRegression(C=1.0, tol=1e-8, max_iter=2000).fit(dummies, y)
    np.testing.assert_allclose(model.of_annotator(features, a), reference.predict_proba(dummies), atol=2e-3)


def test_effects_recover_who_is_lenient_and_shrink_with_the_ridge() -> None:
    features, annotations, _ = simulated(2.0)
    data = judged(features, annotations)
    effects = fit_logistic(data, 1.0, 0.1).effects
    lenient = effects[:, 1] - effects[:, 0]
    assert (lenient[1::2] > lenient[::2].max()).all()
    strong = fit_logistic(data, 1.0, 1e5).effects
    assert np.abs(strong).max() < 0.01


def test_the_consensus_is_the_mean_over_training_judgements() -> None:
    features, annotations, _ = simulated(2.0)
    a = annotations.annotator_codes
    model = fit_logistic(judged(features, annotations), 1.0, 1.0)
    item = features[:1]
    each = softmax(item @ model.weights + model.bias + model.effects[a], axis=-1)  # [J, C]
    np.testing.assert_allclose(model.consensus(item)[0], each.mean(axis=0))


def test_effects_that_contradict_an_item_beyond_any_float_still_give_a_distribution() -> None:
    model = Logistic(np.eye(2), np.zeros(2), np.array([[0.0, 900.0]]), np.ones(1))
    found = model.consensus(np.array([[900.0, 0.0], [1.0, 0.0]]))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[1], [0.0, 1.0], atol=1e-12)
