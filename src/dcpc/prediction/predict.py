"""Label distributions of items, and of single annotators on items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from dcpc.adapters import TrainedAdapter
from dcpc.errors import UsageError
from dcpc.training import tokenize_items


@torch.no_grad()
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
    """
    result = np.empty((len(items), len(adapter.task.labels)))
    for rows, tokens in _batches(adapter, items, batch_size, progress):
        result[rows] = adapter.rule.predict(adapter.model, tokens).items.exp().cpu().numpy()
    return result / result.sum(axis=1, keepdims=True)


@torch.no_grad()
def predict_annotators(
    adapter: TrainedAdapter,
    items: pd.DataFrame,
    item_codes: np.ndarray,
    annotators: Sequence[str],
    *,
    batch_size: int = 64,
    progress: bool = False,
) -> np.ndarray:
    """The predicted label distribution of given annotators on given items.

    An annotator that training did not see falls back to their group, where the adapter knows it, and otherwise
    to the predicted distribution of the item.

    Args:
        adapter: trained with annotators.
        items: I rows, as for `predict_distribution`.
        item_codes: position in `items` of each judgement, int [J].
        annotators: annotator id of each judgement, J of them.
        batch_size: items per forward pass.
        progress: show a progress bar.

    Returns:
        Probabilities [J, C]; rows sum to 1.

    Raises:
        UsageError: if the adapter knows no annotators.
    """
    numbers = adapter.rule.annotator_index(adapter.model, list(annotators))
    if numbers is None:
        raise UsageError(
            f"this adapter ({adapter.task.method}) knows no annotators.",
            fix="Train with --method dcpc on data with an annotator_id column, or predict the distribution.",
        )
    result = np.empty((len(item_codes), len(adapter.task.labels)))
    for rows, tokens in _batches(adapter, items, batch_size, progress):
        position = pd.Series(np.arange(len(rows)), index=rows)
        chosen = np.flatnonzero(np.isin(item_codes, rows))  # judgements of this batch
        if len(chosen) == 0:
            continue
        at = torch.tensor(position[item_codes[chosen]].to_numpy()).to(adapter.device)
        who = numbers[torch.from_numpy(chosen).to(numbers.device)].to(adapter.device)
        found = adapter.rule.predict(adapter.model, tokens, who, at).judgements
        assert found is not None  # there are annotators, and they were asked for
        result[chosen] = found.exp().cpu().numpy()
    return result / result.sum(axis=1, keepdims=True)


def _batches(
    adapter: TrainedAdapter, items: pd.DataFrame, batch_size: int, progress: bool
) -> Iterator[tuple[np.ndarray, dict[str, Tensor]]]:
    """Batches of items of similar length: their positions in `items`, and their tokens on the model's device."""
    adapter.model.eval()
    encoded = tokenize_items(items, adapter.tokenizer, adapter.task.max_length)
    order = np.argsort([-len(ids) for ids in encoded["input_ids"]], kind="stable")
    steps = range(0, len(order), batch_size)
    for start in tqdm(steps, desc="Predicting", unit="batch", disable=not progress, leave=False):
        rows = order[start : start + batch_size]
        batch = {name: [values[row] for row in rows] for name, values in encoded.items()}
        yield rows, dict(adapter.tokenizer.pad(batch, return_tensors="pt").to(adapter.device))
