"""Losses equal their formula on hand-worked examples and torch's own functions at their limits."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cross_entropy, one_hot

from dcpc.errors import UsageError
from dcpc_bench.methods.co_teaching import coteaching_losses, remember_rate
from dcpc_bench.methods.elr import EarlyLearningRegularisation
from dcpc_bench.methods.gce import generalised_cross_entropy
from dcpc_bench.methods.ncr import neighbour_consistency
from dcpc_bench.methods.similar_inputs_kl import similar_inputs_kl


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def targets() -> torch.Tensor:
    return one_hot(torch.tensor([0, 1, 2, 0, 1, 2])).double()


def test_gce_runs_from_cross_entropy_to_the_mean_error(logits: torch.Tensor, targets: torch.Tensor) -> None:
    near_zero = generalised_cross_entropy(logits, targets, q=1e-6)
    torch.testing.assert_close(near_zero, cross_entropy(logits, targets), rtol=1e-4, atol=1e-4)
    error = (logits.softmax(-1) - targets).abs().sum(-1).mean() / 2
    torch.testing.assert_close(generalised_cross_entropy(logits, targets, q=1.0), error)
    with pytest.raises(UsageError, match="q of"):
        generalised_cross_entropy(logits, targets, q=0)


def test_gce_on_a_worked_example() -> None:
    logits = torch.tensor([[math.log(0.25), math.log(0.75)]])
    expected = (1 - 0.25**0.5) / 0.5
    assert generalised_cross_entropy(logits, torch.tensor([[1.0, 0.0]]), 0.5).item() == pytest.approx(
        expected
    )


def test_gce_keeps_a_finite_gradient_where_the_label_is_impossible() -> None:
    logits = torch.tensor([[-200.0, 200.0]], requires_grad=True)
    generalised_cross_entropy(logits, torch.tensor([[1.0, 0.0]])).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_elr_on_a_worked_example() -> None:
    loss = EarlyLearningRegularisation(n_items=3, n_classes=2, momentum=0.5, weight=2.0)
    logits = torch.tensor([[math.log(0.8), math.log(0.2)]])
    target, items = torch.tensor([[0.0, 1.0]]), torch.tensor([1])
    first = loss(logits, target, items)  # t = (.4, .1), ⟨p, t⟩ = .34
    assert first.item() == pytest.approx(-math.log(0.2) + 2 * math.log(1 - 0.34), abs=1e-6)
    second = loss(logits, target, items)  # t = (.6, .15), ⟨p, t⟩ = .51
    assert second.item() == pytest.approx(-math.log(0.2) + 2 * math.log(1 - 0.51), abs=1e-6)
    torch.testing.assert_close(loss.memory, torch.tensor([[0.0, 0.0], [0.6, 0.15], [0.0, 0.0]]))


def test_elr_weakens_the_pull_of_a_label_against_the_memory() -> None:
    logits = torch.tensor([[2.0, -2.0]], requires_grad=True)
    wrong, items = torch.tensor([[0.0, 1.0]]), torch.tensor([0])
    loss = EarlyLearningRegularisation(1, 2, momentum=0.0, weight=3.0)
    (with_memory,) = torch.autograd.grad(loss(logits, wrong, items), logits)
    (without,) = torch.autograd.grad(cross_entropy(logits, wrong), logits)
    assert with_memory[0, 1] > without[0, 1]


def test_coteaching_learns_from_what_the_other_finds_easy() -> None:
    targets = one_hot(torch.tensor([0, 0]), 2).float()
    a = torch.tensor([[3.0, 0.0], [0.0, 3.0]])  # a: the first item is easy
    b = torch.tensor([[0.0, 3.0], [3.0, 0.0]])  # b: the second
    loss_a, loss_b = coteaching_losses(a, b, targets, keep=0.5)
    torch.testing.assert_close(loss_a, cross_entropy(a[1:], targets[1:]))
    torch.testing.assert_close(loss_b, cross_entropy(b[:1], targets[:1]))


def test_coteaching_forgets_gradually_and_keeps_at_least_one(
    logits: torch.Tensor, targets: torch.Tensor
) -> None:
    assert [remember_rate(t, 0.4, 4) for t in (0, 2, 4, 9)] == pytest.approx([1, 0.8, 0.6, 0.6])
    everything, _ = coteaching_losses(logits, logits, targets, keep=1.0)
    torch.testing.assert_close(everything, cross_entropy(logits, targets))
    assert coteaching_losses(logits, logits, targets, keep=0.0)[0].isfinite()


def kl(p: list[float], q: list[float]) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def test_ncr_on_a_worked_example() -> None:
    logits = torch.tensor([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]).log()
    features = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, -1.0]])  # 0 and 1 alike, 2 has no neighbour
    expected = (kl([0.5, 0.5], [0.9, 0.1]) + kl([0.9, 0.1], [0.5, 0.5])) / 3
    assert neighbour_consistency(logits, features, 2, temperature=1.0).item() == pytest.approx(
        expected, abs=1e-6
    )


def test_ncr_weighs_neighbours_by_cosine_and_the_penalty_by_the_squared_temperature() -> None:
    p = [[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]]
    features = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.6, 0.8]])
    of_class_0 = [(0.9 + 0.6 * 0.2) / 1.6, (0.5 + 0.6 * 0.2) / 1.6, (0.6 * 0.5 + 0.6 * 0.9) / 1.2]
    expected = sum(kl([m, 1 - m], own) for m, own in zip(of_class_0, p, strict=True)) / 3
    logits = 2.0 * torch.tensor(p).log()
    assert neighbour_consistency(logits, features, 2, 2.0).item() == pytest.approx(4 * expected, abs=1e-5)


def test_ncr_moves_both_sides_and_the_features_as_the_authors_do() -> None:
    logits, features = torch.randn(4, 3, requires_grad=True), torch.rand(4, 5, requires_grad=True)
    neighbour_consistency(logits, features).backward()
    assert logits.grad is not None
    assert (logits.grad != 0).all()
    assert features.grad is not None
    assert (features.grad != 0).any()


def test_similar_inputs_kl_counts_similar_pairs_only() -> None:
    logits = torch.tensor([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]).log()
    features = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    expected = 0.4 * math.log(0.9 / 0.5) / 2 + (-0.4) * math.log(0.1 / 0.5) / 2
    assert similar_inputs_kl(logits, features, 1 / 3).item() == pytest.approx(expected, abs=1e-6)
    assert similar_inputs_kl(logits, features, 0.01).item() == pytest.approx(expected, abs=1e-6)
    further = 0.7 * math.log(0.9 / 0.2) / 2 + (-0.7) * math.log(0.1 / 0.8) / 2
    further += 0.3 * math.log(0.5 / 0.2) / 2 + (-0.3) * math.log(0.5 / 0.8) / 2
    assert similar_inputs_kl(logits, features, 1.0).item() == pytest.approx(
        (expected + further) / 3, abs=1e-6
    )
    assert similar_inputs_kl(logits[:1], features[:1]).item() == 0


def test_the_control_acts_on_any_batch() -> None:
    """However little alike its texts are: a control that never acts is none."""
    torch.manual_seed(0)
    assert similar_inputs_kl(torch.randn(32, 2), torch.randn(32, 384)).item() > 0.01


@pytest.mark.parametrize("penalty", [neighbour_consistency, similar_inputs_kl])
def test_penalties_vanish_for_equal_predictions(penalty) -> None:  # type: ignore[no-untyped-def]
    logits = torch.randn(1, 3).repeat(4, 1)
    assert penalty(logits, torch.ones(4, 5)).item() == pytest.approx(0, abs=1e-6)


def test_similar_inputs_kl_leaves_features_alone() -> None:
    features = torch.ones(4, 5, requires_grad=True)
    similar_inputs_kl(torch.randn(4, 3, requires_grad=True), features).backward()
    assert features.grad is None
