"""Checks on raw rows: each raises one DataError that says where, what was found, and how to mend it.

Texts are never quoted in messages: they may be private or offensive. All checks work on whole columns.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from dcpc.data.advice import (
    PROMPTS,
    annotators_by_content,
    annotators_option,
    candidates,
    chat_column,
    columns_option,
    has_texts,
    likely_annotators,
    likely_column,
    list_column,
    one_hot_columns,
    pair_columns,
    people_option,
    possible_labels,
    switch_columns,
)
from dcpc.data.annotations import ITEM_COLUMNS, SHARE
from dcpc.data.mapped import by_parts, codes_of, first_rows
from dcpc.data.raw import RawTable, count
from dcpc.errors import DataError, LabelError
from dcpc.names import first_of

OURS = ("item_id", *ITEM_COLUMNS, "annotator_id", "label", SHARE, "split", "time")
"""The columns that have a meaning here; all others are attributes."""
LONG_TEXT = 20_000
_SHOWN = 12


def listed(names: Collection[object]) -> str:
    """The first names of a collection, quoted, and how many more there are."""
    return first_of([f'"{name}"' for name in names], _SHOWN)


def check_columns(raw: RawTable, required: Sequence[str]) -> None:
    """Every required column is there.

    Raises:
        DataError: naming the columns found and, where one fits, the --columns option that would mend it.
    """
    for name in required:
        if name in raw.frame:
            continue
        found = [raw.renamed.get(str(column), str(column)) for column in raw.frame.columns]
        raise DataError(
            f'there is no column "{raw.renamed.get(name, name)}"; found: {listed(found) or "no columns"}.',
            where=raw.source,
            fix=_how_to_name(raw, name),
        )


def _how_to_name(raw: RawTable, name: str) -> str:
    """What to type where one of our columns is missing: a column that is there and whose content fits."""
    if name == "text" and (typed := people_option(raw.frame)):
        return f"If each row is a person and each column an item, add {typed}."
    close = likely_column(raw.frame, name)
    given = {ours: theirs for ours, theirs in raw.renamed.items() if ours in raw.frame and ours != theirs}
    if name == "label" and "annotator_id" not in raw.frame and not likely_annotators(raw.frame):
        switches = switch_columns(raw.frame)
        if len(switches) > 1:
            as_labels = columns_option({"labels": "|".join(switches)})
            return (
                f"If each holds one annotator's labels, name them with {annotators_option(raw.frame, switches)}; if "
                f"each is a label, and 1 where it was given, with {as_labels}."
            )
    if name == "label" and "annotator_id" not in raw.frame:
        shared = annotators_by_content(raw.frame)
        if shared:
            # Which of the two it is, the content does not tell: a label column may be one of several questions.
            wide = f"with {annotators_option(raw.frame, shared)}, if each holds one annotator's labels"
            return (
                f"Name yours with {columns_option({name: close})}, or, {wide}."
                if close
                else f"Name them {wide}."
            )
    hot = one_hot_columns(raw.frame) if name == "label" and close is None else []
    if hot:
        named = {"label": hot[0]}
        if "annotator_id" not in raw.frame:
            named = {"annotator_id": likely_annotators(raw.frame)[0], **named}
        return (
            f"{count(len(hot), 'column')} of 0 and 1, from {hot[0]} to {hot[-1]}, hold one label each, several at "
            f"once: ask one at a time, with {columns_option({**given, **named})}."
        )
    if close is not None:
        return (
            f"Name yours with {columns_option({**given, name: close, **_others_missing(raw, name, close)})}."
        )
    if name == "text" and (chat := chat_column(raw.frame)):
        return f"Name the chats, which are written out: {columns_option({**given, 'text': chat})}."
    if name == "label" and (lists := list_column(raw.frame)):
        return f"Name yours with {columns_option({**given, 'label': lists})}."
    if name in ITEM_COLUMNS and not has_texts(raw.frame):
        return f'No column holds texts: add those of the items, in a column "{name}".'
    several = possible_labels(raw.frame) if name == "label" else []
    if several:
        first = columns_option({**given, "label": several[0]})
        return f"Say which one it is, as with {first}; it may be {listed(several)}."
    return f"Say which one it is with --columns {name}=NAME; none of them looks like it."


def _others_missing(raw: RawTable, name: str, close: str) -> dict[str, str]:
    """What else has to be named, so that what a message proposes is enough: label and annotators beside the text."""
    if name != "text":
        return {}
    taken = [close]
    named: dict[str, str] = {}
    pair = (
        None if {"response_a", "response_b"} & set(raw.frame) else pair_columns(raw.frame.drop(columns=close))
    )
    if pair is not None:
        named |= dict(zip(("response_a", "response_b"), pair, strict=True))
        taken += pair
    elif close.strip().casefold() in PROMPTS and not {"text_pair", "response_a"} & set(raw.frame):
        response = next(iter(candidates(raw.frame, "text_pair", taken)), None)
        named |= {"text_pair": response} if response else {}
        taken += [response] if response else []
    if "label" not in raw.frame and not one_hot_columns(raw.frame) and not annotators_by_content(raw.frame):
        label = likely_column(raw.frame, "label", taken)
        named |= {"label": label} if label else {}
    return named


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
        blank = by_parts(values, lambda part: (part.isna() | (part.str.strip() == "")).to_numpy(bool))
        if blank.any():
            row = int(blank.argmax())
            raise DataError(
                f"{raw.missing(row, 'the text is empty')} ({count(int(blank.sum()), 'such row')}).",
                where=raw.where(row, column),
                fix="Fill it in or remove the row." + _merged_cells(raw, column, np.asarray(blank)),
            )
        longest = int(by_parts(values, lambda part: part.str.len().to_numpy()).max())
        if longest > LONG_TEXT:
            notes += (
                f'The longest "{column}" has {longest:,} characters; training cuts it to fit the model.',
            )
    return notes


def _merged_cells(raw: RawTable, column: str, blank: np.ndarray) -> str:
    """What to do where blank texts, below others, have labels: a spreadsheet saves merged cells so."""
    if "label" not in raw.frame or bool(blank[0]) or column != "text":
        return ""
    alone = raw.frame.loc[blank, "label"].notna().all() and raw.frame.loc[blank, "label"].ne("").all()
    return (
        " Where cells were merged in a spreadsheet, unmerge them and fill each down before saving."
        if alone
        else ""
    )


def _check_strings(raw: RawTable, column: str) -> None:
    values = raw.frame[column]
    kind = _kind(values)
    numbers = kind in ("integer", "floating", "mixed-integer-float", "decimal", "boolean")
    if kind == "string":
        numbers = bool(by_parts(values, _are_numbers).all())
    if numbers:
        lengths = {str(name): _mean_length(list(raw.frame[name].head(100))) for name in raw.frame}
        longest = max(lengths, key=lambda name: lengths[name])
        fix = 'Add the texts of the items, in a column "text".'
        if lengths[longest] > 10:
            fix = f"Name the column with the texts: {columns_option({column: longest})}."
        raise DataError("the texts are all numbers.", where=raw.where(column=column), fix=fix)
    if kind not in ("string", "empty"):
        bad = values.notna() & ~values.map(lambda value: isinstance(value, str))
        row = int(bad.to_numpy().argmax())
        found = type(values.iloc[row]).__name__
        raise DataError(
            f"a text (string) is needed, found {found}.",
            where=raw.where(row, column),
            fix="Turn it into one string per row.",
        )


def _kind(values: pd.Series) -> str:
    """What a column holds, in the words of pandas' `infer_dtype`, for which it makes an object of every string."""
    if isinstance(values.dtype, pd.StringDtype):
        return "string" if values.notna().any() else "empty"
    return pd.api.types.infer_dtype(values, skipna=True)


def _are_numbers(values: pd.Series) -> np.ndarray:
    return values.str.fullmatch(r"\s*[+-]?\d+([.,]\d+)?\s*").fillna(True).to_numpy(bool)


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


def check_one_text_per_item(raw: RawTable, keys: pd.DataFrame, *, folded: bool = False) -> None:
    """All judgements of an item are of the same text, text pair and responses.

    Args:
        raw: rows with `item_id`.
        keys: what the texts are compared by, [J] in each of the item's columns.
        folded: ids that are written in several ways were taken as one.

    Raises:
        DataError: naming the item and the two rows that differ.
    """
    items = codes_of(raw.frame["item_id"])
    first = first_rows(items)  # [I]
    for column in map(str, keys.columns):
        texts = keys[column].to_numpy()
        differs = texts != texts[first][items]
        if differs.any():
            row = int(differs.argmax())
            item, before = raw.frame["item_id"].iloc[row], raw.places[first[items[row]]]
            raise DataError(
                f'item "{item}" had another text in {raw.unit} {before} '
                f"({count(int(differs.sum()), 'such row')}).",
                where=raw.where(row, column),
                fix="Give each text its own item_id, or leave item_id out: equal texts are then one item."
                + (" --exact keeps ids apart that are written apart, as 1 and 01." if folded else ""),
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


def check_classes(
    raw: RawTable, found: Sequence[str], *, votes: bool = False, repeated: bool = False
) -> tuple[str, ...]:
    """There are at least two different labels; votes between two responses may all be for one side, with a note.

    Args:
        raw: the judgements that count.
        found: their labels.
        votes: the labels are votes.
        repeated: there were others, in repeated judgements that do not count.

    Raises:
        DataError: naming the only one.
    """
    if len(found) > 1:
        return ()
    if votes and found[0] != "tie":
        return (
            f"All votes are for side {found[0]}: what that side is worth by itself cannot be told from what its "
            "responses say.",
        )
    raise DataError(
        "all votes are ties: they say nothing about which response is better."
        if votes
        else f'all judgements have the same label "{found[0]}"; two classes are needed.',
        where=raw.where(column="label"),
        fix="Others are in repeated judgements of an item by the same annotator: --repeats all keeps them. "
        "If their ids are of different people and differ only in how they are written (7, 007): --exact."
        if repeated
        else "Check that this is the label column (--columns label=NAME) and that the file is whole.",
    )
