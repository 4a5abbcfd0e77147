"""Co-teaching (Han et al. 2018): two networks, each trained on what the other finds easy."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dcpc.training.dataset import ItemDataset
from dcpc.training.rule import Batch, LearningRule, tokens_of, votes_of
from dcpc.training.step import StepOutput
from dcpc_bench.method import Method, grid


def remember_rate(epoch: float, noise_rate: float, warmup_epochs: float = 10) -> float:
    """Share of a batch that is kept, R(T) = 1 − τ · min(T / T_k, 1).

    Args:
        epoch: T, from 0, perhaps fractional: training starts with everything.
        noise_rate: τ, the share of labels believed wrong.
        warmup_epochs: T_k.
    """
    return 1 - noise_rate * min(epoch / warmup_epochs, 1)


def coteaching_losses(
    logits_a: Tensor, logits_b: Tensor, targets: Tensor, keep: float
) -> tuple[Tensor, Tensor]:
    """Each network's mean cross-entropy over the items of smallest loss *for the other network*.

    Args:
        logits_a: of the first network, [B, C].
        logits_b: of the second network, [B, C].
        targets: label distributions, [B, C].
        keep: share of the batch to keep; at least one item stays.

    Returns:
        The loss of the first and of the second network.
    """
    loss_a = cross_entropy(logits_a, targets, reduction="none")  # [B]
    loss_b = cross_entropy(logits_b, targets, reduction="none")  # [B]
    kept = max(1, int(keep * len(targets)))
    easy_for_a, easy_for_b = loss_a.argsort()[:kept], loss_b.argsort()[:kept]  # [kept]
    return loss_a[easy_for_b].mean(), loss_b[easy_for_a].mean()


class CoTeaching(LearningRule):
    """The losses of two models, each on what the other finds easy, are added.

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


METHOD = Method(
    "co-teaching",
    "Han et al. 2018",
    "two models, each on what the other finds easy",
    rule=lambda _, setting, seed: CoTeaching(setting.get("noise_rate", 0.2)),
    grid=grid(noise_rate=(0.1, 0.2, 0.4)),
)
