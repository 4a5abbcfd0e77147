"""Early-learning regularisation (Liu et al. 2020): hold each item to what was predicted before memorisation."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dcpc.training.dataset import ItemDataset
from dcpc.training.rule import Batch, LearningRule, tokens_of, votes_of
from dcpc.training.step import StepOutput
from dcpc_bench.method import Method, grid

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


class EarlyLearning(LearningRule):
    """The regularised cross-entropy with the shares of the votes; keeps the bank of a training.

    Args:
        strength: λ; the paper uses 3.
        momentum: β; the paper uses 0.7.
    """

    def __init__(self, strength: float = 3.0, momentum: float = 0.7) -> None:
        self.strength, self.momentum = strength, momentum

    def prepare(self, model: nn.Module, data: ItemDataset) -> None:
        """Make the memory."""
        classes = data.annotations.n_classes
        self.regularised = EarlyLearningRegularisation(len(data), classes, self.momentum, self.strength)

    def loss(self, model: nn.Module, batch: Batch, epoch: float) -> StepOutput:
        """Loss of a batch; updates the memory."""
        logits = model(**tokens_of(batch)).logits.float()
        value = self.regularised(logits, votes_of(batch, logits.shape[-1]), batch["items"])
        return StepOutput.of({"task": value}, logits)

    def state(self) -> dict[str, Tensor]:
        """The memory."""
        return {"memory": self.regularised.memory}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up the memory."""
        self.regularised.memory = state["memory"].clone()


METHOD = Method(
    "elr",
    "Liu et al. 2020",
    "held to early running predictions",
    rule=lambda _, setting, seed: EarlyLearning(setting.get("strength", 1.0)),
    grid=grid(strength=(0.3, 1.0, 3.0)),
)
