"""The preferences that training starts from."""

from __future__ import annotations

import numpy as np
import torch

from dcpc.training.annotator_start import start_annotators
from dcpc.tuner.annotators import AnnotatorEffects


def test_preferences_reproduce_effects_up_to_a_constant_with_the_spread_of_their_prior() -> None:
    torch.manual_seed(0)
    names = [f"a{i}" for i in range(20)]
    preferences = AnnotatorEffects(names, None, 4, 3, dropout=0.0, prior_std=1.0).eval()
    effects = np.random.default_rng(0).standard_normal((20, 3)) * [1.0, 0.3, 0.1]
    start_annotators(preferences, effects)
    direct = (preferences.mean @ preferences.direct_effect).detach().numpy()
    difference = direct - effects
    np.testing.assert_allclose(difference - difference.mean(axis=1, keepdims=True), 0, atol=1e-5)
    used = preferences.mean.detach().square().mean(dim=0).sqrt()
    torch.testing.assert_close(used, torch.tensor([1.0, 1.0, 0.0, 0.0]), atol=1e-4, rtol=0)


def test_annotators_who_do_not_differ_keep_their_start() -> None:
    preferences = AnnotatorEffects(["a", "b"], None, 4, 2, dropout=0.0, prior_std=1.0)
    before = preferences.direct_effect.detach().clone()
    start_annotators(preferences, np.ones((2, 2)))
    assert not preferences.mean.any()
    torch.testing.assert_close(preferences.direct_effect.detach(), before)


def test_groups_start_at_the_mean_of_their_known_members() -> None:
    groups = {"a": "strict", "b": "strict", "c": "lenient", "unknown": "absent"}
    preferences = AnnotatorEffects(["a", "b", "c", "d"], groups, 4, 2, dropout=0.0, prior_std=1.0).eval()
    start_annotators(preferences, np.array([[0.0, -1.0], [0.0, -3.0], [0.0, 2.0], [0.0, 5.0]]))
    by_group = dict(zip(["absent", "lenient", "strict"], preferences.group_mean.detach(), strict=True))
    torch.testing.assert_close(by_group["strict"], preferences.mean[:2].mean(dim=0).detach())
    torch.testing.assert_close(by_group["lenient"], preferences.mean[2].detach())
    assert not by_group["absent"].any()


def test_started_effects_do_not_depend_on_the_text() -> None:
    preferences = AnnotatorEffects(["a", "b"], None, 4, 2, dropout=0.0, prior_std=1.0).eval()
    start_annotators(preferences, np.array([[0.0, -1.0], [0.0, 1.0]]))
    effect = preferences.effect(torch.randn(5, 4), preferences(torch.zeros(5, dtype=torch.long)))
    torch.testing.assert_close(effect, effect[:1].expand(5, -1))
