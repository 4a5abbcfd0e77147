"""The mean state of a text's tokens."""

from __future__ import annotations

import torch

from dcpc.pooling import mean_of_tokens


def test_the_mean_ignores_padding_whatever_it_holds() -> None:
    hidden = torch.randn(2, 5, 6)
    mask = torch.tensor([[1, 1, 0, 0, 0], [0, 0, 1, 1, 1]])
    expected = torch.stack([hidden[0, :2].mean(0), hidden[1, 2:].mean(0)])
    hidden[mask == 0] = float("nan")
    torch.testing.assert_close(mean_of_tokens(hidden, mask), expected)


def test_half_precision_states_are_pooled_in_single_precision() -> None:
    hidden = torch.full((1, 4096, 1), 1.001, dtype=torch.bfloat16)
    assert mean_of_tokens(hidden, None).dtype == torch.float32


def test_a_row_without_a_token_is_zero() -> None:
    assert mean_of_tokens(torch.ones(1, 2, 3), torch.zeros(1, 2)).tolist() == [[0.0, 0.0, 0.0]]
