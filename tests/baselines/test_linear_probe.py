"""The probe equals scikit-learn without effects, and finds annotator effects where there are some."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from dcpc.baselines.probe import fit_linear_probe
from dcpc.baselines.probe.linear_probe import EFFECT_RIDGES, RIDGES
from dcpc.baselines.probe.logistic import Judged, fit_logistic
from dcpc.baselines.probe.ridges import choose_ridges
from dcpc.data.annotations import Annotations
from dcpc.errors import UsageError

H, ITEMS, A = 6, 300, 8


def simulated(effect: float, seed: int = 0) -> tuple[np.ndarray, Annotations, np.ndarray]:
    """Features [I, H], one judgement per item by lenient and strict annotators, and the true share of label 1."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(ITEMS, H))
    slope = features @ rng.normal(size=H)
    threshold = np.where(np.arange(A) % 2, effect, -effect)
    annotators = rng.integers(A, size=ITEMS)
    p = 1 / (1 + np.exp(-(slope + threshold[annotators])))
    labels = (rng.random(ITEMS) < p).astype(int)
    table = pd.DataFrame(
        {
            "item_id": [f"i{i}" for i in range(ITEMS)],
            "text": "t",
            "annotator_id": [f"a{a}" for a in annotators],
            "label": labels.astype(str),
        }
    )
    truth = np.mean([1 / (1 + np.exp(-(slope + t))) for t in threshold], axis=0)
    return features, Annotations(table, labels=("0", "1")), truth


def judged(features: np.ndarray, annotations: Annotations) -> Judged:
    codes = (annotations.item_codes, annotations.label_codes, annotations.annotator_codes)
    return Judged(features, *codes, n_annotators=A, n_classes=2)


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


def test_where_annotators_differ_effects_come_closer_to_the_crowd() -> None:
    plain, conditioned = [], []
    for seed in range(4):
        features, annotations, truth = simulated(3.0, seed)
        for effects, errors in ((False, plain), (True, conditioned)):
            probe = fit_linear_probe(features, annotations, annotator_effects=effects)
            errors.append(np.abs(probe.probabilities(features)[:, 1] - truth).mean())
    assert np.mean(conditioned) < np.mean(plain)


def test_noise_alone_is_shrunk_to_the_base_rate() -> None:
    rng = np.random.default_rng(1)
    _, annotations, _ = simulated(0.0)
    probe = fit_linear_probe(rng.normal(size=(ITEMS, 40)), annotations)
    assert probe.probabilities(rng.normal(size=(50, 40))).std(axis=0).max() < 0.1


def test_labels_that_a_fold_never_saw_stay_possible() -> None:
    features, annotations, _ = simulated(0.0)
    table = annotations.table.assign(label=lambda t: t["label"].where(t.index > 0, "2"))
    probe = fit_linear_probe(features, Annotations(table, labels=("0", "1", "2", "3")))
    p = probe.probabilities(features)
    assert p.shape == (ITEMS, 4)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert np.isfinite(probe.choice.loss)


def test_settings_and_size_are_reported() -> None:
    features, annotations, _ = simulated(1.0)
    probe = fit_linear_probe(features, annotations, annotator_effects=True)
    assert set(probe.choice.setting) == {"ridge", "effect_ridge"}
    assert probe.n_parameters == 2 * (H + 1 + A)
    assert set(probe.decisions(features)) <= {0, 1}
    narrow = fit_linear_probe(features, annotations, ridges=(1e5, 1e6))
    assert narrow.choice.on_edge == ("ridge",)


def test_data_that_do_not_fit_are_refused() -> None:
    features, annotations, _ = simulated(1.0)
    nameless = Annotations(annotations.table.drop(columns="annotator_id"), labels=annotations.labels)
    with pytest.raises(UsageError, match="two annotators"):
        fit_linear_probe(features, nameless, annotator_effects=True)
    with pytest.raises(UsageError, match="5 items for 300"):
        fit_linear_probe(features[:5], annotations)
    assert fit_linear_probe(features, nameless).probabilities(features).shape == (ITEMS, 2)
