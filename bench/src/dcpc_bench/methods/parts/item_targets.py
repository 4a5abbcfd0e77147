"""Training toward one distribution per item, whatever it was made from."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from dcpc.data.annotations import Annotations
from dcpc.training.dataset import ItemDataset
from dcpc.training.rule import Batch, LearningRule, tokens_of
from dcpc.training.step import StepOutput
from dcpc_bench.method import RuleOf


class Targets(NamedTuple):
    """What each item should be predicted as.

    Attributes:
        distributions: float [I, C], rows sum to 1.
        weights: of the items' losses, float [I].
    """

    distributions: np.ndarray
    weights: np.ndarray


def unweighted(distributions: np.ndarray) -> Targets:
    """Targets that all count alike."""
    return Targets(distributions, np.ones(len(distributions)))


class ItemTargets(LearningRule):
    """Cross-entropy with one target distribution per item: Σ_i w_i CE(t_i, p_i) / Σ_i w_i over the batch.

    Args:
        of: makes the targets from the training judgements, once.
    """

    def __init__(self, of: Callable[[Annotations], Targets]) -> None:
        self.of = of

    def prepare(self, model: nn.Module, data: ItemDataset) -> None:
        """Make the targets."""
        targets = self.of(data.annotations)
        self.distributions = torch.from_numpy(np.asarray(targets.distributions, dtype=np.float32))  # [I, C]
        self.weights = torch.from_numpy(np.asarray(targets.weights, dtype=np.float32))  # [I]

    def loss(self, model: nn.Module, batch: Batch, epoch: float) -> StepOutput:
        """Weighted cross-entropy of a batch."""
        logits = model(**tokens_of(batch)).logits.float()  # [B, C]
        items = batch["items"].cpu()
        targets, weights = self.distributions[items].to(logits), self.weights[items].to(logits)
        losses = cross_entropy(logits, targets, reduction="none")  # [B]
        total = (weights * losses).sum() / weights.sum().clamp_min(1e-12)
        return StepOutput.of({"task": total}, logits)


def toward(target: Callable[[Annotations], np.ndarray]) -> RuleOf:
    """The rule of a method that trains every item toward one distribution, float [I, C], all with equal weight."""
    return lambda settings, setting, seed: ItemTargets(lambda train: unweighted(target(train)))
