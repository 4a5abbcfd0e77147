"""Disaggregated labels (Sheng et al. 2008): every judgement is a training row."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dcpc.training.dataset import ItemDataset
from dcpc.training.rule import Batch, LearningRule, tokens_of
from dcpc.training.step import StepOutput
from dcpc_bench.method import Method


class JudgementRows(LearningRule):
    """Every judgement as a training row: cross-entropy where each of them weighs the same (Sheng et al. 2008).

    The loss of a batch is Σ_j CE_j / (B · J/I), so that its mean over batches is the mean over all J judgements of
    the I items. Where all items have equally many judgements it is the task loss of plain training, which lets
    each *item* weigh the same.
    """

    def prepare(self, model: nn.Module, data: ItemDataset) -> None:
        """Note how many judgements an item has on average."""
        self.per_item = data.annotations.n_judgements / len(data)

    def loss(self, model: nn.Module, batch: Batch, epoch: float) -> StepOutput:
        """Cross-entropy of a batch."""
        logits = model(**tokens_of(batch)).logits.float()  # [B, C]
        losses: Tensor = cross_entropy(logits[batch["item_index"]], batch["labels"], reduction="sum")
        return StepOutput.of({"task": losses / (len(logits) * self.per_item)}, logits)


METHOD = Method(
    "disaggregated",
    "Sheng et al. 2008",
    "every judgement weighs the same",
    rule=lambda *_: JudgementRows(),
)
