"""Annotator embeddings (Deng et al. 2023, "You are what you annotate"), on the pooled features."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dcpc_bench.method import Method
from dcpc_bench.methods.parts.annotator_head import AnnotatorHead

INIT_STD = 0.02
"""Standard deviation of new embeddings: annotators start nearly alike."""


class AnnotatorEmbeddings(nn.Module):
    """h' = h + α e_a with a weight that depends on the text, α = ⟨W_h h, W_a e_a⟩ / √H, then a linear classifier.

    The paper adds the weighted embedding to the token embeddings; here it joins the pooled features, so that all
    annotators of an item share one forward pass of the encoder. The division by √H keeps α of order one at any
    width.

    Args:
        hidden: H, width of the features.
        n_classes: C.
        n_annotators: A.
    """

    def __init__(self, hidden: int, n_classes: int, n_annotators: int) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(n_annotators, hidden)
        nn.init.normal_(self.embeddings.weight, std=INIT_STD)
        self.of_text = nn.Linear(hidden, hidden, bias=False)
        self.of_annotator = nn.Linear(hidden, hidden, bias=False)
        self.classifier = nn.Linear(hidden, n_classes)

    def forward(self, features: Tensor, annotators: Tensor) -> Tensor:
        """Logits [J, C] of features [J, H] as annotators, int [J], 0 … A − 1, would judge them."""
        e = self.embeddings(annotators)  # [J, H]
        weight = (self.of_text(features) * self.of_annotator(e)).sum(dim=-1, keepdim=True)  # [J, 1]
        return self.classifier(features + weight / features.shape[-1] ** 0.5 * e)

    def consensus(self, features: Tensor) -> Tensor:
        """Mean over all annotators' predicted distributions, [B, C] from features [B, H]."""
        e = self.embeddings.weight  # [A, H]
        weight = self.of_text(features) @ self.of_annotator(e).T / features.shape[-1] ** 0.5  # [B, A]
        # The classifier is linear: W(h + αe) = Wh + αWe, which spares a tensor of B × A × H.
        effect = torch.einsum("ba,ac->bac", weight, e @ self.classifier.weight.T)  # [B, A, C]
        logits = self.classifier(features)[:, None] + effect  # [B, A, C]
        return logits.softmax(dim=-1).mean(dim=1)


METHOD = Method(
    "annotator-embeddings",
    "Deng et al. 2023",
    "a weighted vector for every annotator",
    rule=lambda *_: AnnotatorHead(AnnotatorEmbeddings),
    needs_annotators=True,
)
