"""The probe predicts the crowd of annotators who differ, shrinks noise, and says what it chose."""

from __future__ import annotations

import numpy as np
import pytest

from dcpc.data.annotations import Annotations
from dcpc.errors import UsageError
from dcpc_bench.methods.linear_probe import fit_linear_probe
from strict_and_lenient import ITEMS, A, H, simulated


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
