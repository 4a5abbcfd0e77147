"""What a model predicts for items and for judgements, and the loss of held-out judgements.

Every held-out judgement is predicted twice: as anybody's, and as its annotator's where the method knows annotators.
The loss is the mean of the two cross-entropies. The first alone would not do: where strict and lenient annotators
disagree much it is high however well the items are understood. The second alone would not see how well unknown
annotators are predicted.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from dcpc.tasks import Scored
from dcpc.training.step import annotator_mode, task_loss
from dcpc.tuner import DCPCModel


@dataclass(frozen=True)
class Predicted:
    """Logs of label distributions.

    Attributes:
        items: of B items, whoever judges them [B, C].
        judgements: of J judgements by their annotators [J, C]; an unknown annotator's is the item's. None where
            none were asked for, or the method knows no annotators.
    """

    items: Tensor
    judgements: Tensor | None = None


def predicted(
    tuner: DCPCModel | None,
    scored: Scored,
    annotators: Tensor | None = None,
    item_index: Tensor | None = None,
) -> Predicted:
    """Predictions from a pass that ran without annotators.

    Args:
        tuner: the DCPC tuner, whose annotators act on the logits; None for other adapters.
        scored: of B items.
        annotators: numbers of the judgements' annotators [J], −1 for unknown; None for items alone.
        item_index: row of each judgement's item in the pass [J].
    """
    logits, styles = scored.logits, scored.styles
    if tuner is None or annotator_mode(tuner) != "output":
        return Predicted(logits.log_softmax(dim=-1))
    items = tuner.population_probabilities(logits, styles).clamp_min(1e-12).log()
    if annotators is None or item_index is None:
        return Predicted(items)
    own = tuner.annotator_logits(logits, annotators, item_index, styles).float().log_softmax(dim=-1)
    return Predicted(items, torch.where((annotators < 0)[:, None], items[item_index], own))


def judged_loss(predictions: Predicted, batch: dict[str, Tensor], *, per_judgement: bool = False) -> Tensor:
    """Cross-entropy of the judgements of a batch.

    Args:
        predictions: for the batch.
        batch: from `ItemCollator`.
        per_judgement: the mean is over judgements, or shares of them, as they are; else over those of each item, and
            then over items.
    """
    index, items, weights = batch["item_index"], predictions.items, batch.get("weights")
    targets = one_hot(batch["labels"], items.shape[-1]).float()  # [J, C]
    ways = [items[index]] if predictions.judgements is None else [items[index], predictions.judgements]
    if per_judgement:
        counts = torch.ones_like(targets[:, 0]) if weights is None else weights  # [J]
        losses = [-(targets * way).sum(dim=1) @ counts / counts.sum() for way in ways]
    else:
        losses = [task_loss(way, targets, index, len(items), weights) for way in ways]
    return torch.stack(losses).mean()
