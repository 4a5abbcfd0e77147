"""Predictions as tables: what `dcpc predict` writes and `adapter.predict` returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd

from dcpc.adapter import TrainedAdapter
from dcpc.data.annotations import ITEM_COLUMNS, Annotations
from dcpc.data.raw import numbered
from dcpc.data.readers import ItemRows
from dcpc.data.readers.assemble import assemble_items
from dcpc.data.reading import Reading
from dcpc.errors import UsageError
from dcpc.evaluation.decision import decide_labels
from dcpc.prediction.predict import predict_annotators, predict_distribution, predict_registers

Form = Literal["consensus", "distribution", "annotators"]
"""One label per item; its label and the share of annotators expected to choose each; or every annotator's label."""

Items = ItemRows | Annotations | pd.DataFrame | Sequence[str]
"""What can be predicted: items that were read, annotations, a table with the columns of items, or texts."""

LARGEST_CROSS = 5_000_000
"""Rows above which predicting every annotator on every item is refused."""


def predict_table(
    adapter: TrainedAdapter,
    items: Items,
    form: str = "consensus",
    *,
    goal: str | None = None,
    batch_size: int = 64,
    progress: bool = False,
) -> pd.DataFrame:
    """Predictions as a table, one row per answer; see `TrainedAdapter.predict`."""
    _check_form(form, goal)
    rows = item_rows(items)
    if form == "annotators":
        return _annotator_table(adapter, rows, batch_size, progress)
    rule, labels = adapter.task.decision, adapter.task.labels
    goal = adapter.task.goal(goal)  # a goal that cannot be had must not wait for the predictions
    probabilities = predict_distribution(adapter, rows.items, batch_size=batch_size, progress=progress)
    decided = decide_labels(probabilities, rule, goal)  # [I]
    table, item = _answers(rows)
    table = table.assign(label=[labels[code] for code in decided[item]])
    if form == "distribution":
        shares = probabilities[item]  # [R, C]
        named = pd.DataFrame(shares, columns=[f"p_{label}" for label in labels], index=table.index)
        return pd.concat([table, named], axis=1)
    return table.assign(probability=probabilities[item, decided[item]])


def item_rows(items: Items) -> ItemRows:
    """Items in any form, checked, with the rows that they stand in; rows of tables and lists count from 0.

    Raises:
        UsageError: a path, which has to be read first.
        DataError: no item, a text that is missing, or an item with two texts.
    """
    if isinstance(items, ItemRows):
        return items
    if isinstance(items, str):
        raise UsageError(
            "predictions need items or a list of texts, not one string.",
            fix="Put the text into a list; or read the file first, with dcpc.read_items(path).",
        )
    if isinstance(items, Annotations):
        items = items.items
    frame = items if isinstance(items, pd.DataFrame) else pd.DataFrame({"text": list(items)})
    return assemble_items(numbered(frame, "items", first=0), Reading())


def _check_form(form: str, goal: str | None) -> None:
    if form not in get_args(Form):
        raise UsageError(f"there is no form `{form}`.", fix=f"Forms are: {', '.join(get_args(Form))}.")
    if form == "annotators" and goal not in (None, "accuracy"):
        raise UsageError(
            f"what an annotator would say is the most probable label, so it cannot be decided for {goal}.",
            fix="Leave the goal (--decide) out; it is for labels of items.",
        )


def _answers(rows: ItemRows) -> tuple[pd.DataFrame, np.ndarray]:
    """What tells the answers apart, one row each, and the position of each one's item, int [R].

    An item with an id has one answer; without ids every row of the data has one, with its number in `row`.
    """
    names = [name for name in ("item_id", *ITEM_COLUMNS) if name in rows.items]
    if rows.has_ids:
        return rows.items[names], np.arange(len(rows.items))
    table = rows.items[names].iloc[rows.codes].reset_index(drop=True)
    table.insert(0, "row", rows.places)
    return table, rows.codes


def _annotator_table(
    adapter: TrainedAdapter, rows: ItemRows, batch_size: int, progress: bool
) -> pd.DataFrame:
    known = adapter.annotators
    table, item = _answers(rows)
    n_rows = len(table) * len(known)
    if n_rows > LARGEST_CROSS:
        raise UsageError(
            f"{len(known):,} annotators on {len(table):,} items are {n_rows:,} predictions.",
            fix=f"Predict fewer items at a time: at most {LARGEST_CROSS // len(known):,}.",
        )
    codes, who = np.repeat(np.arange(len(rows.items)), len(known)), known * len(rows.items)
    registers = list(getattr(adapter.shape, "registers", ()))
    predict = predict_registers if registers else predict_annotators
    found = predict(adapter, rows.items, codes, who, batch_size=batch_size, progress=progress)
    found = found.reshape(*found.shape[:2], -1)  # [I·A, C, G], without registers [I·A, C, 1]
    own = found.reshape(len(rows.items), len(known), *found.shape[1:])[item]
    own = own.reshape(n_rows, *found.shape[1:])  # [R·A, C, G]
    labels, p = np.array(adapter.task.labels, dtype=object), own.sum(axis=2)
    table = table.iloc[np.repeat(np.arange(len(table)), len(known))].reset_index(drop=True)
    table = table.assign(
        annotator_id=known * len(item), label=labels[p.argmax(axis=1)], probability=p.max(axis=1)
    )
    if not registers:
        return table
    of_register = own.sum(axis=1)  # [R·A, G]
    names = np.array(registers, dtype=object)[of_register.argmax(axis=1)]
    return table.assign(register=names, register_probability=of_register.max(axis=1))
