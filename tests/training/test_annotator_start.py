"""Annotators' effects in closed form, and the preferences that training starts from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from peft import get_peft_model
from scipy.special import log_softmax

from dcpc.models import load_base_model
from dcpc.training.annotator_start import (
    JudgedLogits,
    choose_effects,
    fit_effects,
    start_annotators,
    start_preferences,
)
from dcpc.tuner import DCPCConfig
from dcpc.tuner.annotators import AnnotatorPreferences
from tiny_models import judgements, save_tiny_bert, sentiment_judgements


def simulated(spread: float, per_annotator: int, seed: int = 0) -> tuple[JudgedLogits, np.ndarray]:
    """Judgements by 20 annotators whose effects on three labels have this standard deviation."""
    rng = np.random.default_rng(seed)
    true = spread * rng.standard_normal((20, 3))
    true -= true.mean(axis=1, keepdims=True)
    annotators = np.repeat(np.arange(20), per_annotator)
    logits = rng.standard_normal((len(annotators), 3))
    p = np.exp(log_softmax(logits + true[annotators], axis=1))
    labels = (p.cumsum(axis=1) < rng.random((len(p), 1))).sum(axis=1)
    return JudgedLogits(logits, labels, annotators, 20), true


def test_effects_are_found_where_there_are_any() -> None:
    judged, true = simulated(1.0, 200)
    found = choose_effects(judged)
    found -= found.mean(axis=1, keepdims=True)
    assert np.corrcoef(found.ravel(), true.ravel())[0, 1] > 0.95
    assert 0.8 < found.std() / true.std() < 1.2  # neither a fraction of their size nor more


def test_effects_vanish_where_annotators_agree() -> None:
    judged, _ = simulated(0.0, 20)
    assert np.abs(choose_effects(judged)).max() < 0.25


def test_the_gradient_vanishes_at_the_optimum() -> None:
    judged, _ = simulated(1.0, 30)
    effects = fit_effects(judged, 2.0)

    def penalised(shift: np.ndarray) -> float:
        return judged.loss(effects + shift) + ((effects + shift) ** 2).sum()

    rng = np.random.default_rng(1)
    for _ in range(5):
        direction = 1e-3 * rng.standard_normal(effects.shape)
        assert penalised(direction) > penalised(np.zeros_like(effects)) - 1e-6


def test_preferences_reproduce_effects_up_to_a_constant_with_the_spread_of_their_prior() -> None:
    torch.manual_seed(0)
    names = [f"a{i}" for i in range(20)]
    preferences = AnnotatorPreferences(names, None, 4, 3, dropout=0.0, prior_std=1.0).eval()
    effects = np.random.default_rng(0).standard_normal((20, 3)) * [1.0, 0.3, 0.1]
    start_preferences(preferences, effects)
    direct = (preferences.mean @ preferences.direct_effect).detach().numpy()
    difference = direct - effects
    np.testing.assert_allclose(difference - difference.mean(axis=1, keepdims=True), 0, atol=1e-5)
    used = preferences.mean.detach().square().mean(dim=0).sqrt()
    torch.testing.assert_close(used, torch.tensor([1.0, 1.0, 0.0, 0.0]), atol=1e-4, rtol=0)


def test_judgements_without_ids_leave_annotators_at_their_start(tmp_path: Path) -> None:
    base, _ = load_base_model(save_tiny_bert(tmp_path / "base"), ["no", "yes"])
    config = DCPCConfig(task_type="SEQ_CLS", annotators=["ann", "bob"])
    tuner = get_peft_model(base, config).base_model
    unnamed = judgements([(f"item {i}", "the film", None, ("no", "yes")[i % 2]) for i in range(8)])
    start_annotators(tuner, unnamed, np.full((8, 2), -np.log(2)))
    assert not tuner.preferences.mean.any()
    named = sentiment_judgements(8)
    start_annotators(tuner, named, np.full((8, 2), -np.log(2)))


def test_annotators_who_do_not_differ_keep_their_start() -> None:
    preferences = AnnotatorPreferences(["a", "b"], None, 4, 2, dropout=0.0, prior_std=1.0)
    before = preferences.direct_effect.detach().clone()
    start_preferences(preferences, np.ones((2, 2)))
    assert not preferences.mean.any()
    torch.testing.assert_close(preferences.direct_effect.detach(), before)
