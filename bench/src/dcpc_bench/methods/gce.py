"""Generalised cross-entropy (Zhang, Sabuncu 2018): between cross-entropy and the noise-tolerant mean error."""

from __future__ import annotations

from torch import Tensor, nn

from dcpc.errors import UsageError
from dcpc.training.rule import Batch, LearningRule, tokens_of, votes_of
from dcpc.training.step import StepOutput
from dcpc_bench.method import Method, grid


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


class GeneralisedCrossEntropy(LearningRule):
    """The generalised cross-entropy with the shares of the votes.

    Args:
        q: from cross-entropy (→ 0) to the mean absolute error (1); the paper uses 0.7.
    """

    def __init__(self, q: float = 0.7) -> None:
        self.q = q

    def loss(self, model: nn.Module, batch: Batch, epoch: float) -> StepOutput:
        """Loss of a batch."""
        logits = model(**tokens_of(batch)).logits.float()
        targets = votes_of(batch, logits.shape[-1])
        return StepOutput.of({"task": generalised_cross_entropy(logits, targets, self.q)}, logits)


METHOD = Method(
    "gce",
    "Zhang, Sabuncu 2018",
    "generalised cross-entropy",
    rule=lambda _, setting, seed: GeneralisedCrossEntropy(setting.get("q", 0.7)),
    grid=grid(q=(0.1, 0.4, 0.7)),
)
