"""DCPC's own learning rule: the objective of equation 13, with target correction and averaged weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dcpc.objective import ObjectiveConfig, RunningConsensus, slider_targets
from dcpc.tasks import Scored
from dcpc.training import step
from dcpc.training.annotator_start import start_annotators
from dcpc.training.dataset import ItemDataset
from dcpc.training.frozen_readout import FrozenReadout
from dcpc.training.rule import Batch, LearningRule
from dcpc.tuner.readout import Shares


class DCPCRule(LearningRule):
    """`dcpc.training.step.training_loss` with its memory; with the preset `none`, plain task loss.

    Args:
        config: weights and switches of the objective.
        shares: how much adapter and readout count, instead of what held-out judgements say: (1, 0) is the adapter
            alone, though its annotators start from the regression, and (0, 1) the regression.
    """

    def __init__(self, config: ObjectiveConfig, shares: Shares | None = None) -> None:
        self.config, self.shares = config, shares
        self.ema_decay = config.ema_decay
        self.consensus: RunningConsensus | None = None
        self.n_judgements = 0
        self.targets: Tensor | None = None
        self.data: ItemDataset | None = None
        self.readout: FrozenReadout | None = None
        self.annotators_started = False

    def prepare(self, model: nn.Module, data: ItemDataset) -> None:
        """Make the running consensus, where targets are corrected; switch the readout off until it is fitted.

        Raises:
            UsageError: if a DCPC adapter has no correction module, and the objective has terms about it.
        """
        step.check_correction(model, self.config)
        self.n_judgements = data.annotations.n_judgements
        of_steps = slider_targets(data.annotations)
        self.targets = None if of_steps is None else torch.from_numpy(of_steps).float()
        self.readout, self.annotators_started = None, False
        self.begin(model, data)
        if self.config.target_correction > 0:
            self.consensus = RunningConsensus(len(data), data.annotations.n_classes)

    def begin(self, model: nn.Module, data: ItemDataset) -> None:
        """Switch the readout off, also where an earlier training has switched it on."""
        if self.readout is None:
            self.readout, self.data = FrozenReadout.of(model, data, self.shares), data
            self.reads_every = 1 if self.readout is None else self.readout.every

    def start_epoch(self, model: nn.Module, batches: Callable[[], Iterable[Batch]], epoch: float) -> None:
        """Fit the readout, the first time, and start annotators from it.

        A resumed training fits it again, to the same frozen states; its annotators are those of the checkpoint.
        """
        if self.readout is None or self.readout.fitted or self.data is None:
            return
        self.readout.fit(model, batches, self.data.annotations)
        if epoch == 0 and self.readout.effects is not None and not self.annotators_started:
            self.annotators_started = True
            start_annotators(self.readout.tuner.annotators, self.readout.effects)

    def finish(
        self,
        model: nn.Module,
        batches: Callable[[], Iterable[Batch]],
        held_out: Iterable[Batch] | None,
    ) -> None:
        """Let the readout read the adapter's own pass, weigh the two, and let go of the training items."""
        if self.readout is not None and self.data is not None:
            if self._ends_in_one_pass(self.readout):
                self.readout.one_pass(model, batches, self.data.annotations)
            self.readout.weigh(model, held_out)
        self.readout = self.data = None

    def _ends_in_one_pass(self, readout: FrozenReadout) -> bool:
        """Not where parts are measured alone, nor where states hang on the annotator."""
        if self.shares is not None or step.annotator_mode(readout.tuner) == "prefix":
            return False
        return self.config.one_pass and readout.acts

    def scored(self, model: nn.Module, tokens: Batch, **preference: Any) -> Scored:
        """A pass over B items; during training, readout and adapter count half each."""
        if self.readout is None or not self.readout.fitted:
            return super().scored(model, tokens, **preference)
        return self.readout.scored(model, tokens, **preference)

    def loss(self, model: nn.Module, batch: Batch, epoch: float) -> step.StepOutput:
        """Loss of a batch and its terms."""
        started = epoch >= self.config.correction_start
        return step.training_loss(
            model,
            batch,
            self.config,
            n_judgements=self.n_judgements,
            consensus=self.consensus if started else None,
            targets=self.targets,
            shape=self.shape,
        )

    def state(self) -> dict[str, Tensor]:
        """The running consensus."""
        held = {} if self.consensus is None else self.consensus.state_dict()
        return {f"consensus.{name}": tensor for name, tensor in held.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up the running consensus."""
        if self.consensus is not None:
            self.consensus.load_state_dict({k.removeprefix("consensus."): v for k, v in state.items()})
