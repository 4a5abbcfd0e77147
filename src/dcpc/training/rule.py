"""A learning rule: how judgements become a loss, and how logits become predictions.

Every method that is trained goes through one trainer and one prediction path; what sets it apart is its carrier
(which tensors train) and its rule:

    rule.prepare(model, data)                   once: heads, memory banks, targets
    rule.begin(model, data)                     whenever training begins
    rule.start_epoch(model, batches, epoch)     before every epoch
    rule.loss(model, batch, epoch)              a training step
    rule.finish(model, batches, held_out)       when it has ended, with the weights that are kept
    rule.predict(model, tokens, ...)            what it predicts for items and persons, in validation and afterwards
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from dcpc.about import Figure
from dcpc.data import Annotations
from dcpc.tasks import Classify, Scored, TaskShape
from dcpc.training.collator import JUDGEMENT_FIELDS
from dcpc.training.dataset import ItemDataset
from dcpc.training.predicted import Predicted, judged_loss, predicted
from dcpc.training.step import StepOutput, annotator_mode
from dcpc.tuner.acting import dcpc_tuner

Batch = dict[str, Tensor]
"""What `ItemCollator` makes: tokens of B items, and their J judgements."""


class LearningRule:
    """Base of all rules; trains on nothing itself, and predicts what the model's logits (or its annotators) say.

    Attributes:
        ema_decay: decay of the averaged weights that are kept at the end; 0 for none.
        reads_every: of how many training items one is read before an epoch; 1 for all.
        saves: whether the adapter, with what `save` writes beside it, predicts the same, so that it can be saved.
        make_peer: builds another model like the one that is trained; set before the training, for rules that train
            two.
        shape: what an item is to the model, and where its logits come from; that of the data.
        per_judgement: whether the validation loss is a mean over judgements, as where the training counts them alike;
            else over the judgements of each item and then over items.
    """

    ema_decay: float = 0.0
    saves: bool = True
    per_judgement: bool = False
    reads_every: int = 1
    make_peer: Callable[[], nn.Module] | None = None
    shape: TaskShape = Classify()

    def prepare(self, model: nn.Module, data: ItemDataset) -> None:
        """Make what the rule needs besides the model, before the optimizer is made.

        Raises:
            UsageError: the rule does not fit the model or the judgements.
        """

    def attach(self, model: nn.Module) -> None:
        """Put modules of the rule's own where the model is, so that they move, train and evaluate with it."""

    def begin(self, model: nn.Module, data: ItemDataset) -> None:
        """Called before every training: a trainer may train again, from where it ended."""

    def start_epoch(self, model: nn.Module, batches: Callable[[], Iterable[Batch]], epoch: float) -> None:
        """Called before every epoch; `batches()` goes through the training items."""

    def finish(
        self,
        model: nn.Module,
        batches: Callable[[], Iterable[Batch]],
        held_out: Iterable[Batch] | None,
    ) -> None:
        """Called after every training, with the weights that are kept.

        Args:
            model: trained.
            batches: goes through the training items.
            held_out: validation batches, of very many items a part; None without a validation set.
        """

    def loss(self, model: nn.Module, batch: Batch, epoch: float) -> StepOutput:
        """Loss of a batch; `epoch` counts from 0 and is fractional within an epoch."""
        raise NotImplementedError

    def scored(self, model: nn.Module, tokens: Batch, **preference: Any) -> Scored:
        """A pass over B items; `annotator_ids` [B] where annotators act inside the model."""
        return self.shape.forward(model, tokens, **preference)

    def annotator_index(self, model: nn.Module, ids: Sequence[str]) -> Tensor | None:
        """Numbers [J] of annotators, −1 for unknown ones; None where the rule and the model know none."""
        tuner = dcpc_tuner(model)
        if tuner is None or annotator_mode(tuner) == "none":
            return None
        return tuner.annotator_index(list(ids))

    def annotator_names(self, model: nn.Module) -> list[str]:
        """Ids of the annotators that the model, or the rule, knows; empty for none."""
        config = getattr(model, "active_peft_config", None)
        return list(getattr(config, "known_annotators", None) or [])

    def predict(
        self,
        model: nn.Module,
        tokens: Batch,
        annotators: Tensor | None = None,
        item_index: Tensor | None = None,
    ) -> Predicted:
        """Predict items, and what annotators would say of them.

        Args:
            model: whose rule this is.
            tokens: of B items.
            annotators: numbers from `annotator_index`, [J]; None for items alone.
            item_index: item of each judgement, [J].
        """
        tuner = dcpc_tuner(model)
        found = predicted(tuner, self.scored(model, tokens), annotators, item_index)
        if tuner is None or annotators is None or item_index is None or annotator_mode(tuner) != "prefix":
            return found
        each = {name: value[item_index] for name, value in tokens.items()}
        own = self.scored(model, each, annotator_ids=annotators).logits
        return Predicted(found.items, own.log_softmax(dim=-1))

    @torch.no_grad()
    def validation_loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Loss of held-out judgements, see `dcpc.training.predicted`."""
        who = None if self.annotator_index(model, []) is None else batch["annotator_ids"]
        return judged_loss(self.predict(model, tokens_of(batch), who, batch["item_index"]), batch)

    def validation_count(self, batch: Batch) -> float:
        """What the loss of a batch counts for in the mean over all held-out ones: its items, or its judgements."""
        if not self.per_judgement:
            return len(batch["items"])
        return float(batch["weights"].sum()) if "weights" in batch else len(batch["labels"])

    def logged(self, *, training: bool) -> dict[str, float]:
        """Figures of its own for the log, of what was trained on, or else validated, since the last call."""
        return {}

    def own_rates(self) -> list[tuple[list[nn.Parameter], float]]:
        """Parameters of the model that train at a rate of their own, without weight decay, and that rate."""
        return []

    def figures(
        self, items: np.ndarray, judgements: np.ndarray | None, annotations: Annotations
    ) -> dict[str, float]:
        """Figures of predictions that only this rule's labels have, beside those of `dcpc.evaluation.measure`.

        Args:
            items: predicted distributions of I items [I, C].
            judgements: of J judgements [J, C]; None where no annotators are known.
            annotations: the judgements.
        """
        return {}

    def held_out_figures(self, items: np.ndarray, held_out: Annotations) -> dict[str, Figure]:
        """Figures of held-out judgements that only this rule's labels have, for the model card.

        Args:
            items: predicted distributions of I items [I, C].
            held_out: their judgements.

        Returns:
            By what they are, in words.
        """
        return {}

    def mirror(self) -> list[int] | None:
        """Position of each label's counterpart, where the two must be decided alike; None for labels without one."""
        return None

    def save(self, folder: Path) -> None:
        """Write what the rule needs besides the adapter to predict, into the adapter's folder."""

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint must hold, besides the weights, for an exact resume."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` gave."""


def tokens_of(batch: Batch) -> Batch:
    """The fields of a batch that are for the base model."""
    return {name: value for name, value in batch.items() if name not in JUDGEMENT_FIELDS}


def votes_of(batch: Batch, n_classes: int) -> Tensor:
    """Share of its judgements that each label got, [B, C]."""
    n_items, index = len(batch["items"]), batch["item_index"]
    given = one_hot(batch["labels"], n_classes).float()  # [J, C]
    if "weights" in batch:
        given = given * batch["weights"][:, None]
    counts = torch.zeros(n_items, n_classes, device=given.device).index_add(0, index, given)
    return counts / counts.sum(dim=1, keepdim=True).clamp(min=1e-6)
