"""An adapter against all annotators of items that it has not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from dcpc.adapter import TrainedAdapter
from dcpc.data.annotations import Annotations
from dcpc.errors import LabelError
from dcpc.evaluation.measure import Measured, measure
from dcpc.prediction.predict import predict_distribution, predict_judgements
from dcpc.training.groups import known_or_stand_in


def evaluate_adapter(
    adapter: TrainedAdapter,
    annotations: Annotations,
    *,
    goal: str | None = None,
    exact: bool = False,
    batch_size: int = 64,
    progress: bool = False,
) -> Measured:
    """Predict the items of annotations and their annotators, and measure both with `dcpc.evaluation.measure`.

    Annotators whom training did not know are predicted as anybody; or as their group, where the adapter was trained
    with a group column and the annotations have it.

    Args:
        adapter: what is measured.
        annotations: J judgements of I items that training did not see.
        goal: what labels are decided for; None takes the adapter's rule.
        exact: annotators are those of the training only where their ids are written alike; else `1.0` is also `1`.
        batch_size: items per forward pass.
        progress: show a progress bar.

    Raises:
        LabelError: a label that the adapter does not know.
        UsageError: the annotations have other columns than training saw, or there is no rule for the goal.
    """
    rule = adapter.task.decision
    goal = adapter.task.goal(goal)  # a goal that cannot be had must not wait for the predictions
    annotations = with_labels_of(adapter, annotations)
    if not annotations.has_annotators:
        items = predict_distribution(adapter, annotations.items, batch_size=batch_size, progress=progress)
        return _with_own(adapter, measure(items, None, annotations, rule, goal), items, None, annotations)
    items, judgements = predict_judgements(
        adapter,
        annotations.items,
        annotations.item_codes,
        _asked(adapter, annotations, exact),
        batch_size=batch_size,
        progress=progress,
    )
    found = measure(items, judgements, annotations, rule, goal)
    return _with_own(adapter, found, items, judgements, annotations)


def _with_own(
    adapter: TrainedAdapter,
    found: Measured,
    items: np.ndarray,
    judgements: np.ndarray | None,
    annotations: Annotations,
) -> Measured:
    """With the figures that only the adapter's kind of labels has."""
    own = adapter.rule.figures(items, judgements, annotations)
    return found._replace(figures={**found.figures, **own})


def with_labels_of(adapter: TrainedAdapter, annotations: Annotations) -> Annotations:
    """The annotations with the adapter's label set: another file may lack a label, or order them anew.

    Raises:
        LabelError: a label that the adapter does not know.
    """
    labels = adapter.task.labels
    if unknown := [label for label in annotations.labels if label not in labels]:
        raise LabelError(
            f"the label {unknown[0]} is none of the adapter's: {', '.join(labels)}.",
            where=annotations.source,
            fix="Correct the label, or remove its rows.",
        )
    return replace(annotations, labels=tuple(labels), scale=adapter.task.scale, range=adapter.task.range)


def unknown_annotators(
    adapter: TrainedAdapter, annotations: Annotations, *, exact: bool = False
) -> pd.Series:
    """Ids of the judgements whose annotators an adapter that knows others knows nothing of; index as the table's."""
    ids = annotations.table.get("annotator_id", pd.Series(dtype=str))
    if not annotations.has_annotators:
        return ids
    numbers = adapter.rule.annotator_index(adapter.model, _asked(adapter, annotations, exact))
    if numbers is None:
        return ids[:0]
    return ids[(numbers < 0).cpu().numpy() & ids.notna()]  # judgements without an id are nobody's error


def _asked(adapter: TrainedAdapter, annotations: Annotations, exact: bool) -> list[str]:
    """Whom to predict for each of J judgements: its annotator, or the stand-in of their group."""
    return known_or_stand_in(annotations, adapter.task.group_column, adapter.annotators, exact=exact)
