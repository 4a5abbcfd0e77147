"""One head per annotator on a shared encoder (Davani, Díaz, Prabhakaran 2022, "multi-task")."""

from __future__ import annotations

from torch import Tensor, nn

from dcpc_bench.method import Method
from dcpc_bench.methods.parts.annotator_head import AnnotatorHead


class AnnotatorHeads(nn.Module):
    """A linear classifier for each annotator.

    Args:
        hidden: H, width of the features.
        n_classes: C.
        n_annotators: A.
    """

    def __init__(self, hidden: int, n_classes: int, n_annotators: int) -> None:
        super().__init__()
        self.n_classes = n_classes
        self.heads = nn.Linear(hidden, n_annotators * n_classes)

    def forward(self, features: Tensor, annotators: Tensor) -> Tensor:
        """Logits [J, C] of features [J, H] by the heads of annotators, int [J], 0 … A − 1."""
        weight = self.heads.weight.view(-1, self.n_classes, features.shape[-1])[annotators]  # [J, C, H]
        bias = self.heads.bias.view(-1, self.n_classes)[annotators]  # [J, C]
        return (weight @ features[..., None]).squeeze(-1) + bias

    def consensus(self, features: Tensor) -> Tensor:
        """Mean over all annotators' predicted distributions, [B, C] from features [B, H]."""
        logits = self.heads(features).view(len(features), -1, self.n_classes)  # [B, A, C]
        return logits.softmax(dim=-1).mean(dim=1)


METHOD = Method(
    "annotator-heads",
    "Davani et al. 2022",
    "a linear head for every annotator",
    rule=lambda *_: AnnotatorHead(AnnotatorHeads),
    needs_annotators=True,
)
