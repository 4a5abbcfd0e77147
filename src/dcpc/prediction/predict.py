"""Label distributions of items, and of single annotators on items."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from dcpc import ranks
from dcpc.adapter import TrainedAdapter
from dcpc.errors import ModelError, UsageError
from dcpc.training.encoding import EncodedItems
from dcpc.training.predicted import Predicted
from dcpc.training.registers import RegisterRule
from dcpc.training.sharding import check_together


def predict_distribution(
    adapter: TrainedAdapter, items: pd.DataFrame, *, batch_size: int = 64, progress: bool = False
) -> np.ndarray:
    """The predicted label distribution of every item: the average over the annotators that training saw.

    Without annotators in the adapter it is the softmax of the logits.

    Args:
        adapter: trained.
        items: I rows with `text` (and `text_pair`, or `response_a` and `response_b`).
        batch_size: items per forward pass; it changes the speed, not the result.
        progress: show a progress bar.

    Returns:
        Probabilities [I, C]; rows sum to 1.

    Raises:
        UsageError: if the items do not have the columns that training saw.
    """
    nobody = np.empty(0, dtype=np.int64)
    return predict_judgements(adapter, items, nobody, [], batch_size=batch_size, progress=progress)[0]


def predict_annotators(
    adapter: TrainedAdapter,
    items: pd.DataFrame,
    item_codes: np.ndarray,
    annotators: Sequence[str],
    *,
    batch_size: int = 64,
    progress: bool = False,
) -> np.ndarray:
    """The predicted label distribution of given annotators on given items: the second half of `predict_judgements`.

    Returns:
        Probabilities [J, C]; rows sum to 1.

    Raises:
        UsageError: if the adapter knows no annotators.
    """
    _check_annotators(adapter)
    _, own = predict_judgements(
        adapter, items, item_codes, annotators, batch_size=batch_size, progress=progress
    )
    assert own is not None  # the adapter knows annotators
    return own


@torch.no_grad()
def predict_judgements(
    adapter: TrainedAdapter,
    items: pd.DataFrame,
    item_codes: np.ndarray,
    annotators: Sequence[str],
    *,
    batch_size: int = 64,
    progress: bool = False,
) -> tuple[np.ndarray, np.ndarray | None]:
    """The predicted label distribution of items, and of given annotators on them, in one pass over the items.

    An annotator that training did not see falls back to their group, where the adapter knows it, and otherwise
    to the predicted distribution of the item.

    Args:
        adapter: trained.
        items: I rows, as for `predict_distribution`.
        item_codes: position in `items` of each judgement, int [J].
        annotators: annotator id of each judgement, J of them.
        batch_size: items per forward pass.
        progress: show a progress bar.

    Returns:
        Probabilities of the items [I, C], and of the judgements [J, C] or None where the adapter knows no
        annotators; rows sum to 1.

    Raises:
        UsageError: if the items do not have the columns that training saw.
        ModelError: if a prediction is no number, as after a training that diverged.
    """
    n_labels = len(adapter.task.labels)
    return _predicted(
        adapter, items, item_codes, annotators, adapter.rule.predict, n_labels, batch_size, progress
    )


@torch.no_grad()
def predict_registers(
    adapter: TrainedAdapter,
    items: pd.DataFrame,
    item_codes: np.ndarray,
    annotators: Sequence[str],
    *,
    batch_size: int = 64,
    progress: bool = False,
) -> np.ndarray:
    """What given annotators would answer on given items, and in which register.

    Args:
        adapter: trained with `registers` (`dcpc.tasks.LabelWords`).
        items: I rows, as for `predict_distribution`.
        item_codes: position in `items` of each judgement, int [J].
        annotators: annotator id of each judgement, J of them.
        batch_size: items per forward pass.
        progress: show a progress bar.

    Returns:
        Probabilities [J, C, G] of answers in registers; each judgement's sum to 1.

    Raises:
        UsageError: the adapter has no registers, or knows no annotators.
    """
    rule = adapter.rule
    if not isinstance(rule, RegisterRule):
        raise UsageError(
            "this adapter has not learned in which register answers are written.",
            fix="Train with `registers` in the recipe's task, and data with a column `register`.",
        )
    _check_annotators(adapter)
    n_pairs = len(adapter.task.labels) * len(rule.registers)
    _, own = _predicted(
        adapter, items, item_codes, annotators, rule.predict_pairs, n_pairs, batch_size, progress
    )
    assert own is not None  # the adapter knows annotators
    return own.reshape(len(own), -1, len(rule.registers))


def _check_annotators(adapter: TrainedAdapter) -> None:
    if adapter.rule.annotator_index(adapter.model, []) is None:
        how = (
            "on votes of two raters or more (annotator_id), with ties, sides, errors or tastes above 0"
            if adapter.shape.name == "prefer"
            else "with --method dcpc, an annotator_mode other than none (the preset paper has none), and data with "
            "an annotator_id column"
        )
        raise UsageError(
            f"this adapter ({adapter.task.method}) knows no annotators.",
            fix=f"Train {how}; or predict the distribution.",
        )


def _predicted(
    adapter: TrainedAdapter,
    items: pd.DataFrame,
    item_codes: np.ndarray,
    annotators: Sequence[str],
    predict: Callable[..., Predicted],
    n_classes: int,
    batch_size: int,
    progress: bool,
) -> tuple[np.ndarray, np.ndarray | None]:
    """What `predict` says of items [I, C] and of judgements [J, C]."""
    numbers = adapter.rule.annotator_index(adapter.model, list(annotators))
    of_items, own = np.zeros((len(items), n_classes)), np.zeros((len(item_codes), n_classes))
    by_item = np.argsort(item_codes, kind="stable")  # those of item i: from `starts[i]` to `starts[i + 1]`
    starts = np.searchsorted(item_codes[by_item], np.arange(len(items) + 1))
    check_together(adapter.model)
    for rows, tokens in batches(adapter, items, batch_size, progress, shared=ranks.together()):
        chosen = by_item[positions(starts[rows], starts[rows + 1])]  # judgements of this batch
        who = at = None
        if numbers is not None and len(chosen) > 0:
            position = pd.Series(np.arange(len(rows)), index=rows)
            at = torch.tensor(position[item_codes[chosen]].to_numpy()).to(adapter.device)
            who = numbers[torch.from_numpy(chosen).to(numbers.device)].to(adapter.device)
        found = predict(adapter.model, tokens, who, at)
        of_items[rows] = found.items[: len(rows)].exp().cpu().numpy()
        if found.judgements is not None:
            own[chosen] = found.judgements.exp().cpu().numpy()
    of_items, own = ranks.summed(of_items), ranks.summed(own)
    if not (np.isfinite(of_items).all() and np.isfinite(own).all()):
        raise ModelError(
            "predictions are not finite numbers: the training has diverged, or the weights were altered.",
            fix="Train again with a lower learning_rate, or restore the adapter's files.",
        )
    of_items /= of_items.sum(axis=1, keepdims=True)
    return of_items, None if numbers is None else own / own.sum(axis=1, keepdims=True)


def positions(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Every number from each of `first` to before its `last`, one range after the other."""
    sizes = last - first
    return np.arange(sizes.sum()) + np.repeat(first - (np.cumsum(sizes) - sizes), sizes)


def batches(
    adapter: TrainedAdapter,
    items: pd.DataFrame,
    batch_size: int,
    progress: bool,
    *,
    shared: bool = False,
) -> Iterator[tuple[np.ndarray, dict[str, Tensor]]]:
    """Batches of items of similar length: their positions in `items`, and their tokens on the model's device.

    Args:
        adapter: whose tokenizer and device count.
        items: I rows.
        batch_size: items in each.
        progress: show a progress bar.
        shared: give this rank's share of the batches, whole ones. One that has none left gets another's tokens and no
            positions, so that all make as many passes.
    """
    adapter.model.eval()
    encoded = EncodedItems(items, adapter.encode)
    order = np.argsort(-encoded.lengths, kind="stable")
    starts = range(0, len(order), batch_size)
    steps = list(ranks.in_step(starts)) if shared else [(start, True) for start in starts]
    for start, own in tqdm(steps, desc="Predicting", unit="batch", disable=not progress, leave=False):
        rows = order[start : start + batch_size]
        batch = adapter.shape.collate(encoded.of(rows.tolist()), adapter.tokenizer)
        yield rows[: len(rows) * own], {name: tensor.to(adapter.device) for name, tensor in batch.items()}
