"""Generalised cross-entropy (Zhang, Sabuncu 2018): between cross-entropy and the noise-tolerant mean error."""

from __future__ import annotations

from torch import Tensor

from dcpc.errors import UsageError


def generalised_cross_entropy(logits: Tensor, targets: Tensor, q: float = 0.7) -> Tensor:
    """Mean over the batch of Σ_c t_c (1 − p_c^q) / q, p = softmax(logits).

    q → 0 is cross-entropy, q = 1 the mean absolute error (over two). For one-hot targets it is the paper's L_q;
    a distribution gets its expected value.

    Args:
        logits: [B, C].
        targets: label distributions, [B, C], rows sum to 1.
        q: 0 < q ≤ 1; the paper uses 0.7.

    Raises:
        UsageError: q outside its range.
    """
    if not 0 < q <= 1:
        raise UsageError(f"q of the generalised cross-entropy must lie above 0 and up to 1, got {q}")
    p = logits.softmax(dim=-1)  # [B, C]
    # A probability of zero has no gradient of p^q; the smallest positive number keeps it finite.
    return (targets * (1 - p.clamp_min(1e-8) ** q) / q).sum(dim=-1).mean()
