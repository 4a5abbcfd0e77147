"""CrowdLayer (Rodrigues, Pereira 2018): the network predicts the truth, one matrix per annotator distorts it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CrowdLayer(nn.Module):
    """z_a = W_a softmax(W h + b): the variant "MW" with a full matrix for every annotator, identity at first.

    As in the authors' code, z_a are the logits of a second softmax inside the loss.

    Args:
        hidden: H, width of the features.
        n_classes: C.
        n_annotators: A.
    """

    def __init__(self, hidden: int, n_classes: int, n_annotators: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(hidden, n_classes)
        self.confusion = nn.Parameter(torch.eye(n_classes).repeat(n_annotators, 1, 1))  # [A, C, C]

    def forward(self, features: Tensor, annotators: Tensor) -> Tensor:
        """Logits [J, C] of what annotators, int [J], 0 … A − 1, say about features [J, H]."""
        truth = self.consensus(features)  # [J, C]
        return (self.confusion[annotators] @ truth[..., None]).squeeze(-1)

    def consensus(self, features: Tensor) -> Tensor:
        """The network's own distribution before any annotator's matrix, [B, C] from features [B, H]."""
        return self.classifier(features).softmax(dim=-1)
