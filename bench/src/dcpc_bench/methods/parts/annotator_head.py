"""Heads that know who judged, as a rule: they read the features that enter the base model's own last layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from dcpc.errors import UsageError
from dcpc.training.dataset import ItemDataset
from dcpc.training.predicted import Predicted
from dcpc.training.rule import Batch, LearningRule, tokens_of
from dcpc.training.step import StepOutput, task_loss
from dcpc_bench.methods.parts.features import PooledFeatures

CHILD = "judges"
"""Name of the head among the model's children, where the optimizer finds it."""


class AnnotatorHead(LearningRule):
    """Cross-entropy of every judgement under its own annotator's logits; items are predicted by `consensus`.

    A head with a `classifier` of its own takes over the base model's, so that it starts where plain training does;
    one without leaves the base model's unused and frozen. Unknown annotators count as the consensus.

    Args:
        build: makes the head from (H, C, A): `forward` gives logits of judgements, `consensus` distributions.
    """

    saves = False

    def __init__(self, build: Callable[[int, int, int], nn.Module]) -> None:
        self.build = build

    def prepare(self, model: nn.Module, data: ItemDataset) -> None:
        """Make the head.

        Raises:
            UsageError: the data do not name two annotators.
        """
        names = list(data.annotations.annotators)
        if len(names) < 2:
            raise UsageError(
                f"heads for annotators compare annotators and need two or more; there are {len(names)}",
                where=data.annotations.source,
                fix="Name the column of the annotator ids, or choose another method.",
            )
        self.index = {name: number for number, name in enumerate(names)}
        self.features = PooledFeatures(model)
        layer = self.features.layer
        head = self.build(layer.in_features, layer.out_features, len(names))
        if hasattr(head, "classifier"):
            head.classifier = layer
        else:
            layer.requires_grad_(False)
        model.add_module(CHILD, head.to(layer.weight.device))

    def loss(self, model: nn.Module, batch: Batch, epoch: float) -> StepOutput:
        """Cross-entropy of the judgements, averaged within items and then over them."""
        logits, features = self._forward(model, tokens_of(batch))
        item, who = batch["item_index"], batch["annotator_ids"]
        judged = self._judged(model, features, who, item)  # [J, C]
        targets = one_hot(batch["labels"], logits.shape[-1]).float()
        return StepOutput.of({"task": task_loss(judged, targets, item, len(logits))}, logits)

    def annotator_index(self, model: nn.Module, ids: Sequence[str]) -> Tensor:
        """Numbers of annotators, −1 for those that training did not see."""
        return torch.tensor([self.index.get(name, -1) for name in ids], dtype=torch.long)

    def predict(
        self,
        model: nn.Module,
        tokens: Batch,
        annotators: Tensor | None = None,
        item_index: Tensor | None = None,
    ) -> Predicted:
        """The head's consensus of items, and its own distribution for each annotator."""
        _, features = self._forward(model, tokens)
        items = self._consensus(model, features)
        if annotators is None or item_index is None:
            return Predicted(items)
        return Predicted(items, self._judged(model, features, annotators, item_index).log_softmax(dim=-1))

    def _forward(self, model: nn.Module, tokens: Batch) -> tuple[Tensor, Tensor]:
        logits = model(**tokens).logits.float()
        return logits, self.features.of(tokens["attention_mask"])

    def _consensus(self, model: nn.Module, features: Tensor) -> Tensor:
        return model.get_submodule(CHILD).consensus(features).clamp_min(1e-12).log()  # type: ignore[operator]

    def _judged(self, model: nn.Module, features: Tensor, who: Tensor, item: Tensor) -> Tensor:
        """Logits of judgements, [J, C]."""
        own = model.get_submodule(CHILD)(features[item], who.clamp(min=0))
        if bool((who >= 0).all()):
            return own
        return torch.where((who < 0)[:, None], self._consensus(model, features)[item], own)
