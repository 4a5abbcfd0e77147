"""The preference correction module (PCM): from a layer's pooled hidden state to a corrected prefix.

 e^l ──PCM──► (μ^l, σ^l) ──softmax(μ + u + σ⊙ε)──► p_pref^l ──P + M p_pref──► P_new^l
[B,H]           [B,K]                               [B,K]                    [B,m,w]
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

# softplus(-2) ≈ 0.13: a fresh module samples close to its mean.
INITIAL_RAW_STD = -2.0


class PreferenceCorrection(nn.Module):
    """The light auxiliary classifier of eq. 10: pooled hidden state -> mean and scale of K style logits.

    One set of parameters serves all layers; where layers differ in width there is one set per width. The
    pooled state is normalised first (no parameters), since its scale grows with depth in many base models.

    Args:
        widths: hidden widths H of the layers.
        hidden: hidden width of the network.
        num_styles: K.
    """

    def __init__(self, widths: Iterable[int], hidden: int, num_styles: int) -> None:
        super().__init__()
        self.networks = nn.ModuleDict()
        for width in sorted(set(widths)):
            last = nn.Linear(hidden, 2 * num_styles)
            with torch.no_grad():
                last.bias[num_styles:].fill_(INITIAL_RAW_STD)
            self.networks[str(width)] = nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), last)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Eq. 10: (μ, raw σ) = W2 tanh(W1 norm(e) + b1) + b2, σ = softplus(raw σ).

        Args:
            pooled: [B,H] pooled hidden states e^l.

        Returns:
            mean and std, both [B,K] in float32 (float64 where the module is).
        """
        network = self.networks[str(pooled.shape[-1])]
        pooled = pooled.to(next(network.parameters()).dtype)
        pooled = functional.layer_norm(pooled, pooled.shape[-1:])  # [B,H]
        mean, raw_std = network(pooled).chunk(2, dim=-1)  # [B,K], [B,K]
        return mean, functional.softplus(raw_std)


def preference_probabilities(
    mean: Tensor, std: Tensor, noise: Tensor | None = None, effect: Tensor | None = None
) -> Tensor:
    """Eq. 11: p_pref = softmax(μ + u_a + σ⊙ε), with ε = 0 at inference.

    Args:
        mean: [B,K] μ.
        std: [B,K] σ.
        noise: [B,K] ε, None for 0.
        effect: [B,K] preference u_a of the annotator, None for 0.

    Returns:
        [B,K], rows sum to 1.
    """
    logits = mean if effect is None else mean + effect
    return (logits if noise is None else logits + std * noise).softmax(dim=-1)


def corrected_prefix(prefix: Tensor, meta: Tensor | None, probabilities: Tensor | None) -> Tensor:
    """Eq. 12: P_new = P + M p_pref, on the first c of the m positions.

    Args:
        prefix: [m,w] P, the part of the prefix that all inputs share.
        meta: [K,c,w] M, c <= m; None leaves the prefix as it is.
        probabilities: [B,K] p_pref; None leaves the prefix as it is.

    Returns:
        [B,m,w], or [1,m,w] where nothing is corrected.
    """
    if meta is None or probabilities is None:
        return prefix.unsqueeze(0)
    correction = torch.einsum("bk,kcw->bcw", probabilities.to(meta.dtype), meta)  # [B,c,w]
    rest = prefix.shape[0] - meta.shape[1]
    return prefix.unsqueeze(0) + functional.pad(correction, (0, 0, 0, rest))  # [B,m,w]
