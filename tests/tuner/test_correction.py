"""The correction module: eq. 10-12 against their definitions and against finite differences."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from dcpc.pooling import mean_of_tokens
from dcpc.tuner.paper.correction import (
    PreferenceCorrection,
    corrected_prefix,
    preference_probabilities,
)

B, N, H, K, M, W = 2, 5, 6, 3, 4, 8


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def test_gradients_of_the_whole_module_match_finite_differences() -> None:
    torch.manual_seed(0)
    module = PreferenceCorrection([H], 7, K).double()
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    noise, effect = double(B, K), double(B, K)
    hidden, prefix, meta = double(B, N, H), double(M, W), double(K, 2, W)

    def corrected(hidden: Tensor, prefix: Tensor, meta: Tensor, effect: Tensor, *weights: Tensor) -> Tensor:
        parameters = dict(zip(dict(module.named_parameters()), weights, strict=True))
        mean, std = torch.func.functional_call(module, parameters, mean_of_tokens(hidden, mask))
        return corrected_prefix(prefix, meta, preference_probabilities(mean, std, noise.detach(), effect))

    inputs = (hidden, prefix, meta, effect, *module.parameters())
    assert torch.autograd.gradcheck(corrected, inputs, eps=1e-6, atol=1e-6)


def test_equation_10_by_hand() -> None:
    module = PreferenceCorrection([H], 7, K)
    pooled = torch.randn(B, H) * 100
    first, last = module.networks[str(H)][0], module.networks[str(H)][2]
    out = last(torch.tanh(first(functional.layer_norm(pooled, (H,)))))
    mean, std = module(pooled)
    torch.testing.assert_close(mean, out[:, :K])
    torch.testing.assert_close(std, torch.log1p(out[:, K:].exp()))
    assert (std > 0).all()


def test_layers_of_different_width_get_networks_of_their_own() -> None:
    module = PreferenceCorrection([H, 2 * H, H], 7, K)
    assert list(module.networks) == ["12", "6"] or list(module.networks) == ["6", "12"]
    assert module(torch.randn(B, 2 * H))[0].shape == (B, K)


def test_equation_11_without_noise_is_a_softmax_and_adds_the_annotator() -> None:
    mean, std, effect, noise = (torch.randn(B, K) for _ in range(4))
    torch.testing.assert_close(preference_probabilities(mean, std), mean.softmax(-1))
    expected = (mean + effect + std * noise).softmax(-1)
    torch.testing.assert_close(preference_probabilities(mean, std, noise, effect), expected)


@pytest.mark.parametrize("corrected", [1, M])
def test_equation_12_by_hand(corrected: int) -> None:
    prefix, meta = torch.randn(M, W), torch.randn(K, corrected, W)
    probabilities = torch.rand(B, K).softmax(-1)
    found = corrected_prefix(prefix, meta, probabilities)
    for row in range(B):
        expected = prefix.clone()
        for style in range(K):
            expected[:corrected] += probabilities[row, style] * meta[style]
        torch.testing.assert_close(found[row], expected)
