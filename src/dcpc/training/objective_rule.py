"""DCPC's own learning rule: the objective of equation 13, with target correction and averaged weights."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from dcpc.objective import ObjectiveConfig, RunningConsensus
from dcpc.training import step
from dcpc.training.dataset import ItemDataset
from dcpc.training.rule import Batch, LearningRule


class ObjectiveRule(LearningRule):
    """`dcpc.training.step.training_loss` with its memory; with the preset `none`, plain task loss.

    Args:
        config: weights and switches of the objective.
    """

    def __init__(self, config: ObjectiveConfig) -> None:
        self.config = config
        self.ema_decay = config.ema_decay
        self.consensus: RunningConsensus | None = None
        self.n_judgements = 0

    def prepare(self, model: nn.Module, data: ItemDataset) -> None:
        """Make the running consensus, where targets are corrected."""
        self.n_judgements = data.annotations.n_judgements
        if self.config.target_correction > 0:
            self.consensus = RunningConsensus(len(data), data.annotations.n_classes)

    def loss(self, model: nn.Module, batch: Batch, epoch: float) -> step.StepOutput:
        """Loss of a batch and its terms."""
        started = epoch >= self.config.correction_start
        return step.training_loss(
            model,
            batch,
            self.config,
            n_judgements=self.n_judgements,
            consensus=self.consensus if started else None,
        )

    def state(self) -> dict[str, Tensor]:
        """The running consensus."""
        held = {} if self.consensus is None else self.consensus.state_dict()
        return {f"consensus.{name}": tensor for name, tensor in held.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up the running consensus."""
        if self.consensus is not None:
            self.consensus.load_state_dict({k.removeprefix("consensus."): v for k, v in state.items()})
