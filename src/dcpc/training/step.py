"""One training step of the objective, for any loop: `L = L_task + λ1 L_amb + λ2 L_align + λ3 L_KL`.

A batch is what `ItemCollator` makes. Works with any PEFT model; the terms that need the preference correction
module or annotator preferences are zero where the adapter has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from dcpc.errors import UsageError
from dcpc.objective import (
    BatchState,
    ObjectiveConfig,
    Pairs,
    RunningConsensus,
    batch_pairs,
    conflict_weight,
    corrected_targets,
    pair_terms,
    view_pairs,
)
from dcpc.tasks import Classify, Scored, TaskShape
from dcpc.training.collator import JUDGEMENT_FIELDS
from dcpc.training.conflicts import mined_row_pairs
from dcpc.training.whole import Whole
from dcpc.tuner import DCPCModel, Styles
from dcpc.tuner.acting import dcpc_tuner


@dataclass(frozen=True)
class StepOutput:
    """Loss of a batch, its terms (already weighted), and the logits [B, C] without any annotator."""

    loss: Tensor
    terms: dict[str, Tensor]
    logits: Tensor

    @classmethod
    def of(cls, terms: dict[str, Tensor], logits: Tensor) -> StepOutput:
        """The sum of some terms."""
        return cls(torch.stack(list(terms.values())).sum(), terms, logits)

    def plus(self, name: str, term: Tensor) -> StepOutput:
        """This loss with one more term."""
        return StepOutput(self.loss + term, {**self.terms, name: term}, self.logits)


def check_correction(model: nn.Module, config: ObjectiveConfig) -> None:
    """Refuse terms about the correction module for a DCPC adapter without one: they would silently be zero.

    Raises:
        UsageError: if there are such terms.
    """
    if not config.needs_correction:  # every step asks
        return
    tuner = dcpc_tuner(model)
    adapter = None if tuner is None else tuner.active_config
    if adapter is not None and not adapter.correction:
        raise UsageError(
            "the objective has terms about the correction module, which the adapter lacks: alignment_weight or "
            "preference_weight is not 0 (mined_pairs gives both a weight).",
            fix="Set correction=True, or both weights to 0.",
        )


def annotator_mode(tuner: DCPCModel) -> str:
    """Where annotators act in the active adapter: `output`, `prefix`, or `none` where it knows no annotators."""
    config = tuner.active_config
    return config.annotator_mode if config is not None and config.annotators else "none"


def training_loss(
    model: nn.Module,
    batch: dict[str, Tensor],
    config: ObjectiveConfig,
    *,
    n_judgements: int,
    consensus: RunningConsensus | None = None,
    targets: Tensor | None = None,
    shape: TaskShape | None = None,
) -> StepOutput:
    """Loss of one batch of items.

    Args:
        model: a PEFT model.
        batch: from `ItemCollator`.
        config: weights and switches.
        n_judgements: J of the whole training set, over which the annotators' KL is spread.
        consensus: running consensus of the items; None leaves the targets as they are.
        targets: label distribution that a judgement of each label speaks for [C, C]; None for the label alone.
        shape: where the logits come from; None for a classification head.

    Returns:
        The loss with its graph. Of a part of a batch that several ranks have, it is what their mean is made of.
    """
    check_correction(model, config)
    tuner = dcpc_tuner(model)
    n_items, whole = len(batch["items"]), Whole.of(batch)
    rows = _rows(batch, tuner, whole, two_views=config.view_pairs and config.uses_pairs)
    wants_states = config.uses_pairs
    scored = (shape or Classify()).forward(model, rows.tokens, states=wants_states, **rows.preference)
    logits, styles = scored.logits, scored.styles  # [B, C]
    judged = _judgement_logits(tuner, logits, rows, styles)
    wanted = _wanted(rows.labels, logits.shape[-1], targets)  # [J, C]
    if consensus is not None:
        predictions = whole.all_items(_item_predictions(logits, rows, n_items))
        running = whole.mine(consensus.update(whole.fields["items"], predictions))
        wanted = corrected_targets(wanted, running[rows.first_item], config.target_correction)
    # The item counts, not the row: rows are judgements in the mode `prefix`, and views double them.
    terms = {"task": whole.share * task_loss(judged, wanted, rows.first_item, n_items, rows.weights)}
    if wants_states:
        each = tuner is not None and annotator_mode(tuner) == "prefix"
        state = whole.all_states(_state(scored), per_judgement=each, n_views=rows.n_views)
        terms |= pair_terms(state, _pairs(whole, each, config, logits.shape[-1]), config)
    if tuner is not None and config.annotator_weight > 0 and _learns_annotators(tuner):
        terms["annotators"] = config.annotator_weight * tuner.annotator_kl() / n_judgements
    return StepOutput.of(terms, logits)


def _learns_annotators(tuner: DCPCModel) -> bool:
    return annotator_mode(tuner) != "none" and not tuner.annotators.held


def _wanted(labels: Tensor, n_classes: int, targets: Tensor | None) -> Tensor:
    """Target distribution of every judgement [J, C]."""
    if targets is None:
        return one_hot(labels, n_classes).float()
    return targets.to(labels.device)[labels]


def task_loss(
    logits: Tensor, targets: Tensor, item_index: Tensor, n_items: int, weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy of the judgements, averaged within each item and then over items.

    Args:
        logits: of every judgement [J, C].
        targets: label distribution of every judgement [J, C].
        item_index: item of every judgement [J].
        n_items: B.
        weights: how much each judgement counts within its item [J]; None for equally.
    """
    losses = -(targets * logits.log_softmax(dim=-1)).sum(dim=-1)  # [J]
    if weights is not None:
        sums = torch.zeros(n_items, device=losses.device).index_add(0, item_index, weights)
        return (losses * weights / sums[item_index]).sum() / n_items
    counts = torch.bincount(item_index, minlength=n_items).clamp(min=1)
    return (losses / counts[item_index]).sum() / n_items


@dataclass(frozen=True)
class _Rows:
    """The rows that go through the model, and the judgements on them."""

    tokens: dict[str, Tensor]
    preference: dict[str, Any]
    labels: Tensor
    annotators: Tensor
    item_index: Tensor
    first_item: Tensor
    n_views: int
    weights: Tensor | None = None


def _rows(batch: dict[str, Tensor], tuner: DCPCModel | None, whole: Whole, *, two_views: bool) -> _Rows:
    tokens = {name: value for name, value in batch.items() if name not in JUDGEMENT_FIELDS}
    labels, annotators, item_index = batch["labels"], batch["annotator_ids"], batch["item_index"]
    first_item, preference, weights = item_index, {}, batch.get("weights")
    if tuner is not None and annotator_mode(tuner) == "prefix":
        # The prefix depends on who judges, so every judgement needs its own forward pass.
        tokens = {name: value[item_index] for name, value in tokens.items()}
        item_index = torch.arange(len(labels), device=labels.device)
        preference["annotator_ids"] = annotators
    n_rows = len(tokens["input_ids"])
    if two_views:
        tokens = {name: torch.cat([value, value]) for name, value in tokens.items()}
        labels, annotators = torch.cat([labels, labels]), torch.cat([annotators, annotators])
        weights = None if weights is None else torch.cat([weights, weights])
        item_index, first_item = (
            torch.cat([item_index, item_index + n_rows]),
            torch.cat([first_item, first_item]),
        )
        if "annotator_ids" in preference:
            preference["annotator_ids"] = annotators
    config = None if tuner is None else tuner.active_config
    if config is not None and config.correction:
        # One ε for the whole batch: the two sides of a pair must differ by their inputs, not by their noise.
        noise = whole.noise(torch.randn(1, config.num_styles, device=labels.device))
        preference["noise"] = noise.expand(len(tokens["input_ids"]), -1)
    return _Rows(
        tokens, preference, labels, annotators, item_index, first_item, 2 if two_views else 1, weights
    )


def _judgement_logits(tuner: DCPCModel | None, logits: Tensor, rows: _Rows, styles: Styles | None) -> Tensor:
    if tuner is not None and annotator_mode(tuner) == "output":
        return tuner.annotator_logits(logits, rows.annotators, rows.item_index, styles)
    return logits[rows.item_index]


def _item_predictions(logits: Tensor, rows: _Rows, n_items: int) -> Tensor:
    """Predicted label distribution of every item [B, C]: the mean over its rows."""
    n_rows = len(logits) // rows.n_views
    probabilities = logits[:n_rows].softmax(dim=-1)
    if n_rows == n_items:
        return probabilities
    item = rows.first_item[:n_rows]  # rows are judgements
    total = torch.zeros(n_items, logits.shape[-1], device=logits.device).index_add(0, item, probabilities)
    return total / torch.bincount(item, minlength=n_items)[:, None].clamp(min=1)


def _pairs(whole: Whole, per_judgement: bool, config: ObjectiveConfig, n_classes: int) -> Pairs:
    """Pairs of rows of the whole batch; a row is an item, or each of its judgements."""
    batch = whole.fields
    labels, device = batch["labels"], batch["labels"].device
    item_index = torch.arange(len(labels), device=device) if per_judgement else batch["item_index"]  # [J]
    n_rows = len(labels) if per_judgement else whole.n_items
    pairs = Pairs.of(*(torch.empty(0, dtype=torch.long, device=device) for _ in range(2)))
    if config.batch_pairs:
        found = batch_pairs(n_rows, device)
        if config.only_conflicting:
            weight = conflict_weight(found, labels, batch["annotator_ids"], item_index, n_rows, n_classes)
            # Pairs of weight 0 stay: the similarity quantile is one of all pairs in the batch.
            found = Pairs(found.a, found.b, weight)
        pairs = pairs.joined(found)
    if config.mined_pairs:
        if "conflicts" not in batch:
            raise UsageError(
                "the objective compares mined pairs, and the training set has none.",
                fix="Give ItemDataset `conflicts=mine_judgement_pairs(annotations)`; `train_adapter` does.",
            )
        pairs = pairs.joined(mined_row_pairs(batch["conflicts"], batch["conflict_weights"], item_index))
    if config.view_pairs:
        pairs = pairs.joined(view_pairs(n_rows, device))
    return pairs


def _state(scored: Scored) -> BatchState:
    states, styles = scored.states, scored.styles
    assert states is not None  # they were asked for
    log_p = scored.logits.log_softmax(dim=-1)
    if styles is None:
        return BatchState(states, log_p)
    # An encoder-decoder's decoder layers have prefixes too, but they share the encoder's preference.
    n = len(styles.positions)
    return BatchState(states, log_p, styles.probabilities[:n], styles.corrected[:n], states[styles.positions])
