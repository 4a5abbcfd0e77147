"""Equations 3 to 8 and 12 of the objective, each against an example worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from dcpc.objective import (
    alignment_loss,
    ambiguity,
    crossed_context,
    layer_similarity,
    layer_weights,
    pool_layers,
    prediction_divergence,
    preference_divergence,
    similarity_gate,
)


def test_equation_3_is_the_cosine_of_each_layer():
    a = torch.tensor([[[1.0, 0.0], [3.0, 4.0]], [[1.0, 0.0], [1.0, 1.0]]])  # [L=2, P=2, H=2]
    b = torch.tensor([[[2.0, 0.0], [4.0, 3.0]], [[0.0, 5.0], [-1.0, -1.0]]])
    torch.testing.assert_close(layer_similarity(a, b), torch.tensor([[1.0, 24 / 25], [0.0, -1.0]]))


def test_equation_4_is_the_mean_of_both_divergences():
    p_a, p_b = torch.tensor([[0.8, 0.2]]), torch.tensor([[0.5, 0.5]])
    forward = 0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5)
    backward = 0.5 * math.log(0.5 / 0.8) + 0.5 * math.log(0.5 / 0.2)
    expected = torch.tensor([(forward + backward) / 2])
    torch.testing.assert_close(prediction_divergence(p_a.log(), p_b.log()), expected)
    torch.testing.assert_close(prediction_divergence(p_b.log(), p_a.log()), expected)


def test_equation_4_is_zero_for_equal_predictions_and_stays_finite_for_certain_ones():
    certain = torch.tensor([[60.0, -60.0]]).log_softmax(-1)
    assert prediction_divergence(certain, certain).item() == 0
    assert prediction_divergence(certain, certain.flip(-1)).isfinite().all()


def test_equation_5_weighs_by_the_softmax_of_depth():
    weights = layer_weights(3, math.log(2))  # exp(γ·l) = 2, 4, 8
    torch.testing.assert_close(weights, torch.tensor([2 / 14, 4 / 14, 8 / 14]))
    torch.testing.assert_close(layer_weights(4, 0.0), torch.full((4,), 0.25))


@pytest.mark.parametrize("gamma", [0.1, 0.5, 2.0])
def test_equation_5_grows_with_depth_for_positive_gamma(gamma):
    weights = layer_weights(6, gamma)
    assert (weights.diff() > 0).all()
    assert weights.sum().item() == pytest.approx(1)


def test_gate_of_equation_6_is_inclusive():
    similarity = torch.tensor([[0.79, 0.8, 0.9], [0.1, 0.2, 0.3]])
    assert similarity_gate(similarity, 0.8, None).tolist() == [[0, 1, 1], [0, 0, 0]]


def test_quantile_gate_keeps_the_same_share_in_every_layer_but_nothing_below_the_threshold():
    similarity = torch.tensor([[0.5, 0.6, 0.7, 0.8, 0.9], [0.1, 0.2, 0.3, 0.4, 0.5]])
    assert similarity_gate(similarity, 0.0, 0.5).sum(dim=1).tolist() == [3, 3]
    assert similarity_gate(similarity, 0.45, 0.5).sum(dim=1).tolist() == [3, 1]


def test_equation_6_sums_gated_similarities_times_divergence():
    similarity = torch.tensor([[0.9, 0.5], [0.8, 0.9]])
    gate = similarity_gate(similarity, 0.7, None)
    weights = torch.tensor([0.25, 0.75])
    divergence = torch.tensor([2.0, 4.0])
    expected = torch.tensor([(0.25 * 0.9 + 0.75 * 0.8) * 2.0, 0.75 * 0.9 * 4.0])
    torch.testing.assert_close(ambiguity(similarity, divergence, gate, weights), expected)


def test_equation_7_joins_a_prefix_and_the_other_sides_tokens():
    prefix = torch.arange(6.0).reshape(1, 3, 2)  # m = 3, W = 2
    context = crossed_context(prefix, torch.tensor([[10.0, 11.0]]))
    assert context.tolist() == [[0, 1, 2, 3, 4, 5, 10, 11]]


def test_equation_8_is_the_mean_over_layers_of_squared_distances():
    # Two layers, one pair, m = 1, W = 2, H = 1: only l = 1 has a next layer.
    prefixes_a = [torch.tensor([[[1.0, 2.0]]]), torch.full((1, 1, 2), 99.0)]
    prefixes_b = [torch.tensor([[[0.0, 4.0]]]), torch.full((1, 1, 2), -99.0)]
    tokens_a, tokens_b = torch.tensor([[[7.0]], [[1.0]]]), torch.tensor([[[5.0]], [[4.0]]])
    # ‖(1, 2, 4) − (0, 4, 1)‖² = 1 + 4 + 9
    loss = alignment_loss(prefixes_a, prefixes_b, tokens_a, tokens_b, mean=False)
    torch.testing.assert_close(loss, torch.tensor([14.0]))
    loss = alignment_loss(prefixes_a, prefixes_b, tokens_a, tokens_b, mean=True)
    torch.testing.assert_close(loss, torch.tensor([14 / 3]))


def test_equation_8_averages_over_the_layers_that_have_a_next_one():
    prefixes_a = [torch.ones(2, 1, 1) for _ in range(3)]
    prefixes_b = [torch.zeros(2, 1, 1) for _ in range(3)]
    tokens = torch.zeros(3, 2, 1)
    loss = alignment_loss(prefixes_a, prefixes_b, tokens, tokens, mean=False)
    assert loss.tolist() == [1.0, 1.0]


def test_equation_8_is_zero_where_there_is_one_layer_only():
    tokens = torch.randn(1, 2, 3)
    loss = alignment_loss([torch.ones(2, 1, 1)], [torch.zeros(2, 1, 1)], tokens, tokens, mean=False)
    assert loss.tolist() == [0.0, 0.0]


def test_equation_12_is_the_divergence_of_styles_averaged_over_layers():
    p_a = torch.tensor([[[0.5, 0.5]], [[1.0, 0.0]]])  # [L=2, P=1, K=2]
    p_b = torch.tensor([[[0.25, 0.75]], [[0.5, 0.5]]])
    first = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    second = 1.0 * math.log(1.0 / 0.5)
    torch.testing.assert_close(preference_divergence(p_a, p_b), torch.tensor([(first + second) / 2]))


def test_pooled_states_ignore_padding_and_leave_the_embeddings_out():
    states = [torch.randn(2, 3, 4) for _ in range(3)]
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    pooled = pool_layers(states, mask)
    assert pooled.shape == (2, 2, 4)
    torch.testing.assert_close(pooled[0, 0], states[1][0, :2].mean(dim=0))
    torch.testing.assert_close(pooled[1, 1], states[2][1].mean(dim=0))
