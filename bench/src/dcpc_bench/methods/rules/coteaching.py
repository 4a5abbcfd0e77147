"""Co-teaching as a rule: a second model of the same kind trains beside the first."""

from __future__ import annotations

from torch import nn

from dcpc.training.dataset import ItemDataset
from dcpc.training.rule import Batch, LearningRule, tokens_of, votes_of
from dcpc.training.step import StepOutput
from dcpc_bench.methods.losses import coteaching_losses, remember_rate


class CoTeaching(LearningRule):
    """`dcpc_bench.methods.losses.coteaching`: the losses of two models, each on what the other finds easy, are added.

    They share no trained tensor, so one optimizer trains both as two would, except that gradients are clipped
    together. The first model predicts. Both are trained, so the trainable parameters count twice.

    Args:
        noise_rate: τ, the share of labels believed wrong.
        warmup_epochs: T_k, epochs until that share is left out; the paper takes 10 of 200.
    """

    saves = False  # a saved adapter would hold the second model too

    def __init__(self, noise_rate: float = 0.2, warmup_epochs: float = 1.0) -> None:
        self.noise_rate, self.warmup_epochs = noise_rate, warmup_epochs

    def prepare(self, model: nn.Module, data: ItemDataset) -> None:
        """Make the second model, with starting weights of its own."""
        assert self.make_peer is not None, "set make_peer, which builds a second model"
        model.add_module("peer", self.make_peer())

    def loss(self, model: nn.Module, batch: Batch, epoch: float) -> StepOutput:
        """Sum of both models' losses."""
        tokens = tokens_of(batch)
        logits = model(**tokens).logits.float()  # [B, C]
        other = model.get_submodule("peer")(**tokens).logits.float()  # [B, C]
        keep = remember_rate(epoch, self.noise_rate, self.warmup_epochs)
        first, second = coteaching_losses(logits, other, votes_of(batch, logits.shape[-1]), keep)
        return StepOutput.of({"task": first, "peer": second}, logits)
