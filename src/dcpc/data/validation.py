"""Checks on raw rows: each raises one DataError that says where, what was found, and how to mend it.

Texts are never quoted in messages: they may be private or offensive. All checks work on whole columns.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from dcpc.data.annotations import ITEM_COLUMNS
from dcpc.data.raw import RawTable, count
from dcpc.data.shared_labels import columns_with_shared_labels
from dcpc.errors import DataError, LabelError
from dcpc.names import first_of

LONG_TEXT = 20_000
_SHOWN = 12


def listed(names: Collection[object]) -> str:
    """The first names of a collection, quoted, and how many more there are."""
    return first_of([f'"{name}"' for name in names], _SHOWN)


def check_columns(raw: RawTable, required: Sequence[str]) -> None:
    """Every required column is there.

    Raises:
        DataError: naming the columns found and, where one is close, the --columns option that would mend it.
    """
    for name in required:
        if name in raw.frame:
            continue
        found = [str(column) for column in raw.frame.columns]
        close = nearest(name, found)
        wide = ""
        if name == "label" and "annotator_id" not in raw.frame and _shared(raw.frame):
            wide = (
                f", or, if each holds one annotator's labels, with --columns {annotators_option(raw.frame)}"
            )
        raise DataError(
            f'there is no column "{raw.renamed.get(name, name)}"; found: {listed(found) or "no columns"}.',
            where=raw.source,
            fix=f"Name yours with --columns {name}={close or 'YOUR_COLUMN'}{wide}.",
        )


def annotators_option(frame: pd.DataFrame) -> str:
    """How to name the annotators' columns of a wide table: those that seem to be it, or a pattern to fill in."""
    return f"annotators='{'|'.join(_shared(frame) or ['NAME_1', 'NAME_2'])}'"


def _shared(frame: pd.DataFrame) -> list[str]:
    ours = ["item_id", *ITEM_COLUMNS, "annotator_id", "label", "split"]
    likely_label = [name for name in frame.columns if str(name).strip().casefold() in OTHER_NAMES["label"]]
    return columns_with_shared_labels(frame, [*ours, *likely_label])


OTHER_NAMES = {
    "text": (
        "comment",
        "sentence",
        "tweet",
        "content",
        "body",
        "document",
        "review",
        "prompt",
        "question",
        "post",
    ),
    "label": ("rating", "annotation", "class", "category", "score", "answer", "target", "y", "gold", "value"),
    "annotator_id": ("annotator", "worker", "worker_id", "rater", "rater_id", "user", "user_id", "coder"),
    "item_id": ("id", "task", "item", "idx", "text_id", "comment_id"),
}
"""Our column name → what others often call it."""


def nearest(name: str, found: Sequence[str]) -> str | None:
    """The column among `found` that most likely means `name`: a usual other name, or one spelt like it."""
    lowered = {column.lower(): column for column in found}
    for other in (name, *OTHER_NAMES.get(name, ())):
        if other in lowered:
            return lowered[other]
    spelt = difflib.get_close_matches(name, list(lowered), n=1, cutoff=0.5)
    return lowered[spelt[0]] if spelt else None


def check_rows(raw: RawTable, what: str = "judgements") -> None:
    """There is at least one row, of what the caller needs."""
    if not len(raw.frame):
        notes = " ".join(raw.notes)
        raise DataError(
            f"there are no {what} in it. {notes}".strip(),
            where=raw.source,
            fix="Check the file or the export.",
        )


def check_texts(raw: RawTable) -> tuple[str, ...]:
    """Every item column that is there holds text; returns notes on very long ones.

    Raises:
        DataError: if a text is missing, blank, not a string, or if all texts are numbers.
    """
    notes: tuple[str, ...] = ()
    for column in (name for name in ITEM_COLUMNS if name in raw.frame):
        values = raw.frame[column]
        _check_strings(raw, column)
        blank = values.isna() | (values.str.strip() == "")
        if blank.any():
            row = int(blank.to_numpy().argmax())
            raise DataError(
                f"{raw.missing(row, 'the text is empty')} ({count(int(blank.sum()), 'such row')}).",
                where=raw.where(row, column),
                fix="Fill it in or remove the row.",
            )
        longest = int(values.str.len().max())
        if longest > LONG_TEXT:
            notes += (
                f'The longest "{column}" has {longest:,} characters; training cuts it to fit the model.',
            )
    return notes


def _check_strings(raw: RawTable, column: str) -> None:
    values = raw.frame[column]
    kind = pd.api.types.infer_dtype(values, skipna=True)
    numbers = kind in ("integer", "floating", "mixed-integer-float", "decimal", "boolean")
    if kind == "string":
        numbers = bool(values.str.fullmatch(r"\s*[+-]?\d+([.,]\d+)?\s*").all())
    if numbers:
        lengths = {str(name): _mean_length(list(raw.frame[name].head(100))) for name in raw.frame}
        longest = max(lengths, key=lambda name: lengths[name])
        longest = longest if lengths[longest] > 10 else "YOUR_COLUMN"
        raise DataError(
            "the texts are all numbers.",
            where=raw.where(column=column),
            fix=f"Name the column with the texts: --columns {column}={longest}.",
        )
    if kind not in ("string", "empty"):
        bad = values.notna() & ~values.map(lambda value: isinstance(value, str))
        row = int(bad.to_numpy().argmax())
        found = type(values.iloc[row]).__name__
        raise DataError(
            f"a text (string) is needed, found {found}.",
            where=raw.where(row, column),
            fix="Turn it into one string per row.",
        )


def _mean_length(values: Sequence[object]) -> float:
    return float(np.mean([len(value) if isinstance(value, str) else 0 for value in values]))


def check_present(raw: RawTable, column: str) -> None:
    """No value of `column` is missing.

    Raises:
        DataError: naming the first row without a value and how many there are.
    """
    missing = raw.frame[column].isna().to_numpy()
    if missing.any():
        row = int(missing.argmax())
        raise DataError(
            f"{raw.missing(row, 'the value is missing')} ({count(int(missing.sum()), 'such row')}).",
            where=raw.where(row, column),
            fix="Fill it in, or remove the rows without it.",
        )


def check_one_text_per_item(raw: RawTable) -> None:
    """All judgements of an item are of the same text, text pair and responses.

    Raises:
        DataError: naming the item and the two rows that differ.
    """
    items, ids = pd.factorize(raw.frame["item_id"])
    first = np.unique(items, return_index=True)[1]  # [I]: the row where each item appears first
    for column in (name for name in ITEM_COLUMNS if name in raw.frame):
        texts = pd.factorize(raw.frame[column])[0]
        differs = texts != texts[first][items]
        if differs.any():
            row = int(differs.argmax())
            raise DataError(
                f'item "{ids[items[row]]}" had another text in {raw.unit} {raw.places[first[items[row]]]} '
                f"({count(int(differs.sum()), 'such row')}).",
                where=raw.where(row, column),
                fix="Give each text its own item_id, or leave item_id out: equal texts are then one item.",
            )


def check_no_duplicates(raw: RawTable) -> None:
    """No annotator judged an item twice; judgements without an annotator id are not compared.

    Raises:
        DataError: naming the item, the annotator and both rows.
    """
    if "annotator_id" not in raw.frame:
        return
    items, annotators = pd.factorize(raw.frame["item_id"])[0], pd.factorize(raw.frame["annotator_id"])[0]
    pairs = pd.Series(items.astype(np.int64) * (annotators.max() + 2) + annotators)
    repeated = (pairs.duplicated() & (annotators >= 0)).to_numpy()
    if repeated.any():
        row = int(repeated.argmax())
        first = int((pairs == pairs[row]).to_numpy().argmax())
        item, annotator = raw.frame["item_id"].iloc[row], raw.frame["annotator_id"].iloc[row]
        raise DataError(
            f'annotator "{annotator}" judged item "{item}" already in {raw.unit} {raw.places[first]} '
            f"({count(int(repeated.sum()), 'such row')}).",
            where=raw.where(row),
            fix="Keep one row per item and annotator, e.g. the latest.",
        )


def check_labels(raw: RawTable, labels: Sequence[str]) -> None:
    """Every label is in the label set.

    Raises:
        LabelError: naming the row, the label and the set.
    """
    outside = (~raw.frame["label"].isin(list(labels))).to_numpy()
    if outside.any():
        row = int(outside.argmax())
        raise LabelError(
            f'the label "{raw.frame["label"].iloc[row]}" is not one of {listed(labels)} '
            f"({count(int(outside.sum()), 'such row')}).",
            where=raw.where(row, "label"),
            fix="Correct it, remove the rows, or declare all labels with --labels.",
        )


def check_classes(raw: RawTable, found: Sequence[str]) -> None:
    """There are at least two different labels.

    Raises:
        DataError: naming the only one.
    """
    if len(found) < 2:
        raise DataError(
            f'all judgements have the same label "{found[0]}"; two classes are needed.',
            where=raw.where(column="label"),
            fix="Check that this is the label column (--columns label=NAME) and that the file is whole.",
        )
