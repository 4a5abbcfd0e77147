"""Divergence between the preferences that the correction module sees on the two sides of a pair (equation 12)."""

from __future__ import annotations

from torch import Tensor


def preference_divergence(p_a: Tensor, p_b: Tensor) -> Tensor:
    """`L_KL = KL(p_pref^A ‖ p_pref^B)`, averaged over layers.

    Args:
        p_a: preference styles of side A [L, P, K], rows sum to 1.
        p_b: preference styles of side B [L, P, K].

    Returns:
        Divergences in nats, ≥ 0, [P].
    """
    smallest = 1e-12
    log_ratio = p_a.clamp_min(smallest).log() - p_b.clamp_min(smallest).log()
    return (p_a * log_ratio).sum(dim=-1).mean(dim=0)
