"""Rules that differ from plain training in their loss; targets are the shares of an item's votes."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dcpc.training.dataset import ItemDataset
from dcpc.training.rule import Batch, LearningRule, tokens_of, votes_of
from dcpc.training.step import StepOutput
from dcpc_bench.methods.features import PooledFeatures
from dcpc_bench.methods.losses import (
    EarlyLearningRegularisation,
    generalised_cross_entropy,
    neighbour_consistency,
    similar_inputs_kl,
)


class GeneralisedCrossEntropy(LearningRule):
    """`dcpc_bench.methods.losses.gce`.

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


class EarlyLearning(LearningRule):
    """`dcpc_bench.methods.losses.elr`, with its memory of running predictions.

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


class _FeaturePenalty(LearningRule):
    """A loss that needs the pooled features besides the logits."""

    def prepare(self, model: nn.Module, data: ItemDataset) -> None:
        """Find the features."""
        self.features = PooledFeatures(model)

    def _forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Logits [B, C], their cross-entropy with the votes, and features [B, H]."""
        logits = model(**tokens_of(batch)).logits.float()
        task = cross_entropy(logits, votes_of(batch, logits.shape[-1]))
        return logits, task, self.features.of(batch["attention_mask"])


class NeighbourConsistency(_FeaturePenalty):
    """(1 − α) cross-entropy + α `dcpc_bench.methods.losses.ncr`, after a start with cross-entropy alone.

    Args:
        strength: α; the authors' configurations use 0.1 to 0.9.
        start: epochs before the penalty sets in; the authors wait a tenth of their 100 to 130 epochs.
    """

    def __init__(self, strength: float = 0.3, start: float = 0.5) -> None:
        self.strength, self.start = strength, start

    def loss(self, model: nn.Module, batch: Batch, epoch: float) -> StepOutput:
        """Loss of a batch."""
        logits, task, features = self._forward(model, batch)
        if epoch < self.start or len(logits) < 2:
            return StepOutput.of({"task": task}, logits)
        penalty = neighbour_consistency(logits, features)
        return StepOutput.of(
            {"task": (1 - self.strength) * task, "neighbours": self.strength * penalty}, logits
        )


class SimilarInputs(_FeaturePenalty):
    """Cross-entropy + λ `dcpc_bench.methods.losses.similar_kl`: the control for L_amb.

    Args:
        strength: λ.
    """

    def __init__(self, strength: float = 0.3) -> None:
        self.strength = strength

    def loss(self, model: nn.Module, batch: Batch, epoch: float) -> StepOutput:
        """Loss of a batch."""
        logits, task, features = self._forward(model, batch)
        return StepOutput.of(
            {"task": task, "similar": self.strength * similar_inputs_kl(logits, features)}, logits
        )
