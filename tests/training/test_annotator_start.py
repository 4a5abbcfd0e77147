"""The preferences that training starts from."""

from __future__ import annotations

import numpy as np
import torch

from dcpc.training.annotator_start import start_preferences
from dcpc.tuner.annotators import AnnotatorPreferences


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


def test_annotators_who_do_not_differ_keep_their_start() -> None:
    preferences = AnnotatorPreferences(["a", "b"], None, 4, 2, dropout=0.0, prior_std=1.0)
    before = preferences.direct_effect.detach().clone()
    start_preferences(preferences, np.ones((2, 2)))
    assert not preferences.mean.any()
    torch.testing.assert_close(preferences.direct_effect.detach(), before)
