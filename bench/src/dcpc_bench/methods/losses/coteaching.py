"""Co-teaching (Han et al. 2018): two networks, each trained on what the other finds easy."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy


def remember_rate(epoch: float, noise_rate: float, warmup_epochs: float = 10) -> float:
    """Share of a batch that is kept, R(T) = 1 − τ · min(T / T_k, 1).

    Args:
        epoch: T, from 0, perhaps fractional: training starts with everything.
        noise_rate: τ, the share of labels believed wrong.
        warmup_epochs: T_k.
    """
    return 1 - noise_rate * min(epoch / warmup_epochs, 1)


def coteaching_losses(
    logits_a: Tensor, logits_b: Tensor, targets: Tensor, keep: float
) -> tuple[Tensor, Tensor]:
    """Each network's mean cross-entropy over the items of smallest loss *for the other network*.

    Args:
        logits_a: of the first network, [B, C].
        logits_b: of the second network, [B, C].
        targets: label distributions, [B, C].
        keep: share of the batch to keep; at least one item stays.

    Returns:
        The loss of the first and of the second network.
    """
    loss_a = cross_entropy(logits_a, targets, reduction="none")  # [B]
    loss_b = cross_entropy(logits_b, targets, reduction="none")  # [B]
    kept = max(1, int(keep * len(targets)))
    easy_for_a, easy_for_b = loss_a.argsort()[:kept], loss_b.argsort()[:kept]  # [kept]
    return loss_a[easy_for_b].mean(), loss_b[easy_for_a].mean()
