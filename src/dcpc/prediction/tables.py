"""Predictions as tables: what `dcpc predict` writes and `adapter.predict` returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Literal, get_args

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

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
"""Rows above which a table of every annotator on every item is refused; in parts it may be larger."""
AT_ONCE = 20_000
"""Rows of a part: enough that items of similar length share a batch."""


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
    rows = item_rows(items)
    if form == "annotators":
        known, n_answers = adapter.annotators, _n_answers(rows)
        if (n_rows := len(known) * n_answers) > LARGEST_CROSS:
            raise UsageError(
                f"{len(known):,} annotators on {n_answers:,} items are {n_rows:,} predictions.",
                fix=f"Predict fewer items at a time, at most {LARGEST_CROSS // len(known):,}; or write them to a "
                "file with `dcpc predict`.",
            )
    [table] = predict_parts(
        adapter, rows, form, goal=goal, batch_size=batch_size, progress=progress, at_once=None
    )
    return table


def predict_parts(
    adapter: TrainedAdapter,
    items: Items,
    form: str = "consensus",
    *,
    goal: str | None = None,
    batch_size: int = 64,
    progress: bool = False,
    at_once: int | None = AT_ONCE,
) -> Iterator[pd.DataFrame]:
    """The table of `predict_table` in parts, one below the other; each can be let go when the next is asked for.

    A text without an id that comes again in a later part is predicted again there.

    Args:
        adapter: trained.
        items: what to predict; this, `form` and `goal` as for `TrainedAdapter.predict`.
        form: `consensus`, `distribution` or `annotators`.
        goal: what labels are decided for.
        batch_size: items per forward pass.
        progress: show a progress bar.
        at_once: rows of a part, about; None for a single part.

    Raises:
        UsageError: as `TrainedAdapter.predict`, before anything is predicted.
        DataError: likewise.
    """
    _check_form(form, goal)
    rows = item_rows(items)
    table_of: Callable[..., pd.DataFrame] = _annotator_table
    if form != "annotators":
        # A goal that cannot be had must not wait for the predictions.
        table_of = partial(_item_table, form=form, goal=adapter.task.goal(goal))
    elif at_once is not None:
        at_once = max(1, at_once // max(1, len(adapter.annotators)))
    return _parts(adapter, rows, table_of, at_once or _n_answers(rows), batch_size, progress)


def _parts(
    adapter: TrainedAdapter,
    rows: ItemRows,
    table_of: Callable[..., pd.DataFrame],
    at_once: int,
    batch_size: int,
    progress: bool,
) -> Iterator[pd.DataFrame]:
    starts = range(0, _n_answers(rows), at_once)
    several = len(starts) > 1
    for start in tqdm(starts, "Predicting", unit="part", disable=not (progress and several), leave=False):
        answers, codes = _answers(rows, slice(start, start + at_once))
        distinct, item = np.unique(codes, return_inverse=True)
        items = rows.items.iloc[distinct].reset_index(drop=True)
        yield table_of(
            adapter, items, answers, item, batch_size=batch_size, progress=progress and not several
        )


def _item_table(
    adapter: TrainedAdapter,
    items: pd.DataFrame,
    table: pd.DataFrame,
    item: np.ndarray,
    *,
    form: str,
    goal: str,
    batch_size: int,
    progress: bool,
) -> pd.DataFrame:
    """Answers on items: the label, and its probability or that of all.

    Args:
        adapter: trained.
        items: I distinct items.
        table: what tells the answers apart, R rows.
        item: position in `items` of each answer's, int [R].
        form: `consensus` or `distribution`.
        goal: what labels are decided for.
        batch_size: items per forward pass.
        progress: show a progress bar.
    """
    rule, labels = adapter.task.decision, adapter.task.labels
    probabilities = predict_distribution(adapter, items, batch_size=batch_size, progress=progress)  # [I, C]
    decided = decide_labels(probabilities, rule, goal)  # [I]
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


def _n_answers(rows: ItemRows) -> int:
    """R, see `_answers`."""
    return len(rows.items) if rows.has_ids else len(rows.codes)


def _answers(rows: ItemRows, which: slice) -> tuple[pd.DataFrame, np.ndarray]:
    """What tells some of the answers apart, one row each, and the position of each one's item, int [R].

    An item with an id has one answer; without ids every row of the data has one, with its number in `row`.
    """
    names = [name for name in ("item_id", *ITEM_COLUMNS) if name in rows.items]
    if rows.has_ids:
        table = rows.items[names].iloc[which]
        return table.reset_index(drop=True), np.arange(len(rows.items))[which]
    codes = rows.codes[which]
    table = rows.items[names].iloc[codes].reset_index(drop=True)
    table.insert(0, "row", rows.places[which])
    return table, codes


def _annotator_table(
    adapter: TrainedAdapter,
    items: pd.DataFrame,
    table: pd.DataFrame,
    item: np.ndarray,
    *,
    batch_size: int,
    progress: bool,
) -> pd.DataFrame:
    """Answers of every known annotator on items; arguments as of `_item_table`."""
    known = adapter.annotators
    codes, who = np.repeat(np.arange(len(items)), len(known)), known * len(items)
    registers = list(getattr(adapter.shape, "registers", ()))
    predict = predict_registers if registers else predict_annotators
    found = predict(adapter, items, codes, who, batch_size=batch_size, progress=progress)
    found = found.reshape(*found.shape[:2], -1)  # [I·A, C, G], without registers [I·A, C, 1]
    own = found.reshape(len(items), len(known), *found.shape[1:])[item]
    own = own.reshape(len(item) * len(known), *found.shape[1:])  # [R·A, C, G]
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
