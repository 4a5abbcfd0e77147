"""Cross-entropy, and a penalty that looks at the pooled features besides the logits."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dcpc.training.dataset import ItemDataset
from dcpc.training.rule import Batch, LearningRule, tokens_of, votes_of
from dcpc_bench.methods.parts.features import PooledFeatures


class FeaturePenalty(LearningRule):
    """Base of rules with such a penalty."""

    def prepare(self, model: nn.Module, data: ItemDataset) -> None:
        """Find the features."""
        self.features = PooledFeatures(model)

    def forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Logits [B, C], their cross-entropy with the votes, and features [B, H]."""
        logits = model(**tokens_of(batch)).logits.float()
        task = cross_entropy(logits, votes_of(batch, logits.shape[-1]))
        return logits, task, self.features.of(batch["attention_mask"])
