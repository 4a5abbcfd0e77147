"""CrowdLayer (Rodrigues, Pereira 2018): the network predicts the truth, one matrix per annotator distorts it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dcpc_bench.method import Method
from dcpc_bench.methods.parts.annotator_head import AnnotatorHead

START = 0.2
"""Share of a fresh annotator's judgements that are errors. The smaller, the later errors are learned: from 0.01 on,
annotators who flip every label still counted as right in 99 of 100 after a short training."""
STRETCH = 30.0
"""Factor of D, which is a learning rate of its own under Adam: matrices move by more than a network's weights."""


class CrowdLayer(nn.Module):
    """The variant "MW", a full matrix for every annotator: what annotator a says is W_a softmax(W h + b).

    Training needs a distribution of it. Here the columns of W_a are distributions over what is said, W_a =
    softmax(κI + 30 D_a) from D_a = 0, where annotators err in one judgement of five; weight decay pulls back there.
    The authors' code has free matrices W_a = I + D_a and a second softmax in the loss (`second_softmax=True`): there
    a matrix that has learned nothing flattens every prediction, and p answers with overconfidence, for which a
    comparison of distributions would punish the method.

    Args:
        hidden: H, width of the features.
        n_classes: C.
        n_annotators: A.
        second_softmax: as in the authors' code.
    """

    def __init__(
        self, hidden: int, n_classes: int, n_annotators: int, *, second_softmax: bool = False
    ) -> None:
        super().__init__()
        self.second_softmax = second_softmax
        self.classifier = nn.Linear(hidden, n_classes)
        self.confusion = nn.Parameter(
            torch.zeros(n_annotators, n_classes, n_classes)
        )  # D [A, said C, true C]
        self.diagonal = math.log((1 - START) * max(n_classes - 1, 1) / START)  # κ

    def forward(self, features: Tensor, annotators: Tensor) -> Tensor:
        """Logits [J, C] of what annotators, int [J], 0 … A − 1, say about features [J, H]."""
        truth = self.consensus(features)  # [J, C]
        identity = torch.eye(truth.shape[-1], device=truth.device)
        learned = self.confusion[annotators]  # [J, said C, true C]
        if self.second_softmax:
            return ((identity + learned) @ truth[..., None]).squeeze(-1)
        matrix = (self.diagonal * identity + STRETCH * learned).softmax(dim=-2)
        said = (matrix @ truth[..., None]).squeeze(-1)  # [J, C], rows sum to 1
        return said.clamp_min(1e-12).log()

    def consensus(self, features: Tensor) -> Tensor:
        """The network's own distribution before any annotator's matrix, [B, C] from features [B, H]."""
        return self.classifier(features).softmax(dim=-1)


METHOD = Method(
    "crowd-layer",
    "Rodrigues, Pereira 2018",
    "a confusion matrix for every annotator",
    rule=lambda *_: AnnotatorHead(CrowdLayer),
    needs_annotators=True,
)
