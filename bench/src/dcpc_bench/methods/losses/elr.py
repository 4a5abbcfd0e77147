"""Early-learning regularisation (Liu et al. 2020): hold each item to what was predicted before memorisation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

CLAMP = 1e-4
"""Predictions stay this far from 0 and 1, as in the authors' code, so that ln(1 − ⟨p, t⟩) is finite."""


class EarlyLearningRegularisation:
    """Cross-entropy + λ ln(1 − ⟨p, t⟩) with a memory bank of running predictions t.

        t_i ← β t_i + (1 − β) p_i / Σ_c p_ic,    L = CE(p, y) + λ/B Σ_i ln(1 − ⟨p_i, t_i⟩)

    The bank starts at zero and is a constant for the gradient. Collapses to the majority class on unbalanced
    sets where λ is large: choose λ on validation labels.

    Args:
        n_items: I, the size of the memory bank.
        n_classes: C.
        momentum: β; the paper uses 0.7.
        weight: λ; the paper uses 3 (CIFAR-10).
    """

    def __init__(self, n_items: int, n_classes: int, momentum: float = 0.7, weight: float = 3.0) -> None:
        self.momentum, self.weight = momentum, weight
        self.memory = torch.zeros(n_items, n_classes)  # [I, C]

    def __call__(self, logits: Tensor, targets: Tensor, items: Tensor) -> Tensor:
        """Update the bank and return the loss of a batch.

        Args:
            logits: [B, C].
            targets: label distributions, [B, C].
            items: positions of the items in the bank, int [B], each at most once.
        """
        p = logits.softmax(dim=-1).clamp(CLAMP, 1 - CLAMP)  # [B, C]
        fresh = p.detach() / p.detach().sum(dim=-1, keepdim=True)  # [B, C]
        self.memory = self.memory.to(logits)
        self.memory[items] = self.momentum * self.memory[items] + (1 - self.momentum) * fresh
        agreement = (self.memory[items] * p).sum(dim=-1)  # [B]
        return cross_entropy(logits, targets) + self.weight * torch.log(1 - agreement).mean()
