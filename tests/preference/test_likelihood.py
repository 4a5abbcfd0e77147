"""Likelihoods of votes: they sum to one, mirror under swapping sides, and are those of the literature."""

from __future__ import annotations

import pytest
import torch

from dcpc.errors import UsageError
from dcpc.preference.likelihood import (
    PreferenceScale,
    davidson_logits,
    mirrored_label,
    ordinal_log_probabilities,
    thresholds_of_shares,
    vote_log_probabilities,
    with_errors,
)

SCALES = {
    "sides": ("a", "b"),
    "ties": ("a", "b", "tie"),
    "four": ("a", "slightly a", "slightly b", "b"),
    "five": ("a", "slightly a", "tie", "slightly b", "b"),
    "seven": ("much a", "a", "slightly a", "tie", "slightly b", "b", "much b"),
}


@pytest.fixture(params=SCALES, name="scale")
def _scale(request: pytest.FixtureRequest) -> PreferenceScale:
    return PreferenceScale(SCALES[request.param])


@pytest.mark.parametrize("ordinal", [False, True])
def test_votes_sum_to_one_and_mirror_when_sides_swap(scale: PreferenceScale, ordinal: bool) -> None:
    margin = torch.randn(50, dtype=torch.float64) * 3
    thresholds = torch.randn(50, scale.n_cutpoints, dtype=torch.float64)
    votes = vote_log_probabilities(margin, scale, thresholds, ordinal=ordinal)
    swapped = vote_log_probabilities(-margin, scale, thresholds, ordinal=ordinal)
    torch.testing.assert_close(votes.exp().sum(-1), torch.ones(50, dtype=torch.float64))
    torch.testing.assert_close(votes[:, scale.mirror], swapped)


def test_a_larger_margin_moves_votes_towards_a(scale: PreferenceScale) -> None:
    margin = torch.linspace(-4, 4, 40)
    votes = vote_log_probabilities(margin, scale, torch.zeros(40, scale.n_cutpoints)).exp()
    ranks = votes @ torch.tensor([scale.order.index(code) for code in range(len(scale.labels))]).float()
    assert bool((ranks.diff() > 0).all())


def test_without_ties_the_model_is_bradley_terrys() -> None:
    margin = torch.randn(20)
    votes = vote_log_probabilities(margin, PreferenceScale(("a", "b")), torch.zeros(20, 0))
    torch.testing.assert_close(votes[:, 0].exp(), torch.sigmoid(margin))


def test_ties_are_davidsons() -> None:
    rewards, log_nu = torch.randn(2, 20, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64)
    a, b = rewards.exp()
    tie = davidson_logits(rewards[0] - rewards[1], log_nu).softmax(-1)[:, 2]
    geometric = log_nu.exp() * (a * b).sqrt()
    torch.testing.assert_close(tie, geometric / (a + b + geometric))


def test_the_ordinal_model_is_a_difference_of_logistic_functions() -> None:
    margin, distances = torch.randn(20, dtype=torch.float64), torch.tensor([0.5, 1.2], dtype=torch.float64)
    votes = ordinal_log_probabilities(margin, distances.log().expand(20, 2)).exp()
    cuts = torch.tensor([-1.7, -0.5, 0.5, 1.7], dtype=torch.float64)
    cumulative = torch.sigmoid(cuts - margin[:, None])
    edges = torch.cat([torch.zeros(20, 1), cumulative, torch.ones(20, 1)], dim=1)
    torch.testing.assert_close(votes, edges.diff(dim=1))


@pytest.mark.parametrize("margin", [-1e4, -50.0, 50.0, 1e4])
def test_extreme_margins_stay_finite(scale: PreferenceScale, margin: float) -> None:
    value = torch.tensor([margin], requires_grad=True)
    votes = vote_log_probabilities(value, scale, torch.zeros(1, scale.n_cutpoints))
    likely = max(range(len(scale.labels)), key=lambda code: scale.order.index(code) * margin)
    votes[0, likely].backward()
    assert bool(votes.isfinite().all())
    assert value.grad is not None
    assert bool(value.grad.isfinite().all())


def test_errors_mix_a_vote_with_its_mirror_image() -> None:
    scale = PreferenceScale(("a", "b", "tie"))
    votes = torch.tensor([[0.7, 0.1, 0.2]]).log()
    mixed = with_errors(votes, scale, torch.tensor([0.25 / 0.75]).log()).exp()
    torch.testing.assert_close(mixed, torch.tensor([[0.75 * 0.7 + 0.25 * 0.1, 0.75 * 0.1 + 0.25 * 0.7, 0.2]]))


@pytest.mark.parametrize(
    "labels", [("a", "tie"), ("a", "b", "c"), ("a", "a"), ("tie", "b"), ("a", "slightly a", "tie", "b")]
)
def test_votes_without_a_counterpart_are_refused(labels: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="no preference scale") as found:
        PreferenceScale(labels)
    assert "a, b and tie" in str(found.value)


def test_mirror_images_of_labels() -> None:
    assert [mirrored_label(label) for label in SCALES["five"]] == list(reversed(SCALES["five"]))


def test_thresholds_of_shares_give_these_shares_between_equal_responses(scale: PreferenceScale) -> None:
    shares = {1: [0.4, 0.1, 0.05], -1: [0.2, 0.1, 0.05], 0: [0.1]}
    given = [
        shares[sign][abs(level) % 3] if sign else 0.1
        for sign, level in zip(scale.sign, scale.levels, strict=True)
    ]
    given = [share / sum(given) for share in given]
    thresholds = torch.tensor(thresholds_of_shares(given, scale, ordinal=True))
    votes = vote_log_probabilities(torch.zeros(1), scale, thresholds[None], ordinal=True).exp()[0]
    both = [(share + given[other]) / 2 for share, other in zip(given, scale.mirror, strict=True)]
    torch.testing.assert_close(votes, torch.tensor(both), atol=1e-4, rtol=0)


def test_davidsons_threshold_of_a_share_of_ties() -> None:
    scale = PreferenceScale(("a", "b", "tie"))
    (log_nu,) = thresholds_of_shares([3, 4, 3], scale)
    votes = vote_log_probabilities(torch.zeros(1), scale, torch.tensor([[log_nu]])).exp()
    assert votes[0, 2].item() == pytest.approx(0.3, abs=1e-6)


def test_grades_in_order_need_counterparts() -> None:
    scale = PreferenceScale.ordered(["-3", "-1", "1", "3"])
    assert scale.sign == [1, 1, -1, -1]
    assert scale.mirror == [3, 2, 1, 0]
    assert not scale.has_ties
    assert PreferenceScale.ordered(["b", "x", "a"], first_for="b").sign == [-1, 0, 1]
    with pytest.raises(UsageError, match="counterpart"):
        PreferenceScale(("x", "y", "z"), (2, 1, -1))
