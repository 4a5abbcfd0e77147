"""From raw rows to checked annotations: rename, make labels and ids canonical, check, order the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b

import numpy as np
import pandas as pd

from dcpc.data import validation
from dcpc.data.annotations import ITEM_COLUMNS, Annotations, Scale
from dcpc.data.raw import RawTable, count
from dcpc.data.scales import (
    are_numbers,
    as_text,
    canonical_labels,
    canonical_preferences,
    check_size,
    choose_scale,
    format_number,
    order_labels,
)
from dcpc.errors import DataError, UsageError

OUR_COLUMNS = ("item_id", *ITEM_COLUMNS, "annotator_id", "label", "split")
"""The columns that `--columns` can name; all others are attributes and keep their names."""


def assemble(raw: RawTable, *, scale: Scale | None, labels: Sequence[str] | None) -> Annotations:
    """Check raw judgements and build the one long table from them.

    Args:
        raw: rows under our column names (see `rename`).
        scale: the label scale, or None to tell it from the labels.
        labels: the whole label set in its order, or None to collect it from the rows.

    Raises:
        DataError: at the first thing that is wrong (see `dcpc.data.validation`).
    """
    if "preference" in raw.frame and "response_a" in raw.frame:
        raw = _choose_preference_column(raw)
    validation.check_columns(raw, ("text", "label"))
    raw = _check_items(raw)
    raw, scale = _with_canonical_labels(raw, scale)
    validation.check_present(raw, "label")
    validation.check_no_duplicates(raw)
    found = list(pd.unique(raw.frame["label"]))
    if labels is None:
        validation.check_classes(raw, found)
        ordered = order_labels(found, scale, raw.source)
        raw = raw.with_notes(*check_size(found, len(raw.frame), scale, raw.source), *_case_note(found))
    else:
        ordered = _declared(labels, scale)
        validation.check_labels(raw, ordered)
    raw = raw.with_notes(*_annotator_notes(raw.frame), *_text_notes(raw.frame))
    return Annotations(_in_order(raw.frame), ordered, scale, raw.source, raw.notes)


def assemble_items(raw: RawTable) -> pd.DataFrame:
    """Check raw rows of which only the items matter, e.g. those to predict: one row per item.

    Returns:
        `item_id`, `text` and, where there, `text_pair`, `response_a`, `response_b`, `split`; I rows in the
        order of first appearance.

    Raises:
        DataError: if a text is missing or an item has two texts.
    """
    validation.check_columns(raw, ("text",))
    frame = _check_items(raw).frame
    columns = [name for name in OUR_COLUMNS if name in frame and name not in ("annotator_id", "label")]
    return frame.drop_duplicates("item_id")[columns].reset_index(drop=True)


def rename(raw: RawTable, columns: Mapping[str, str]) -> RawTable:
    """Give the file's columns our names.

    Args:
        raw: rows under the file's own names.
        columns: our name → the file's name.

    Raises:
        UsageError: if a key is not one of our columns.
        DataError: if the file has no such column.
    """
    unknown = [name for name in columns if name not in OUR_COLUMNS]
    if unknown:
        raise UsageError(
            f'"{unknown[0]}" is not a column that can be named.', fix=f"Choose from {', '.join(OUR_COLUMNS)}."
        )
    columns = {ours: theirs for ours, theirs in columns.items() if ours != theirs}
    raw = replace(raw, renamed={**raw.renamed, **columns})
    for ours, theirs in columns.items():
        if theirs not in raw.frame:
            found = [str(name) for name in raw.frame.columns]
            close = validation.nearest(theirs, found)
            raise DataError(
                f'there is no column "{theirs}"; found: {validation.listed(found)}.',
                where=raw.source,
                fix=f"Correct --columns {ours}={close or 'YOUR_COLUMN'}.",
            )
    frame = raw.frame.drop(
        columns=[ours for ours in columns if ours in raw.frame and ours not in columns.values()]
    )
    return replace(raw, frame=frame.rename(columns={theirs: ours for ours, theirs in columns.items()}))


def _choose_preference_column(raw: RawTable) -> RawTable:
    """Use the column `preference` where `label` is missing or is not about the two responses."""
    if "label" in raw.frame and canonical_preferences(raw.frame["label"], raw.source) is not None:
        return raw
    if canonical_preferences(raw.frame["preference"], raw.source) is None:
        return raw
    frame = raw.frame.drop(columns="label", errors="ignore").rename(columns={"preference": "label"})
    return replace(raw, frame=frame).with_notes('The labels were taken from the column "preference".')


def _check_items(raw: RawTable) -> RawTable:
    """Texts checked, ids as strings, items told by their texts where they have no id."""
    validation.check_rows(raw)
    raw = raw.with_notes(*validation.check_texts(raw))
    frame = raw.frame.assign(
        **{name: raw.frame[name].astype("str") for name in ITEM_COLUMNS if name in raw.frame}
    )
    for name in ("item_id", "annotator_id"):
        if name in frame:
            frame[name] = _ids(raw, name)
    raw = replace(raw, frame=frame)
    if "item_id" in frame:
        validation.check_present(raw, "item_id")
        validation.check_one_text_per_item(raw)
        return raw
    frame["item_id"] = _ids_from_texts(frame)
    return raw.with_notes('There is no column "item_id": rows with the same text were taken as one item.')


def _ids(raw: RawTable, column: str) -> pd.Series:
    try:
        return as_text(raw.frame[column])
    except TypeError as error:
        raise DataError(
            "the values are lists or objects; one id per row is needed.", where=raw.where(column=column)
        ) from error


def _ids_from_texts(frame: pd.DataFrame) -> pd.Series:
    """An id per distinct (text, text pair, responses): a hash of the contents, so equal across files."""
    columns = [name for name in ITEM_COLUMNS if name in frame]
    codes = frame.groupby(columns, sort=False, dropna=False).ngroup().to_numpy()  # [J]
    first = np.unique(codes, return_index=True)[1]
    contents = zip(*(frame[name].iloc[first] for name in columns), strict=True)
    ids = np.array(
        [blake2b("\x1f".join(texts).encode(), digest_size=8).hexdigest() for texts in contents], dtype=object
    )
    return pd.Series(ids[codes], index=frame.index, dtype="str")


def _with_canonical_labels(raw: RawTable, declared: Scale | None) -> tuple[RawTable, Scale]:
    try:
        labels = canonical_labels(raw.frame["label"])
    except TypeError as error:
        raise DataError(
            "the labels are lists or objects; one label per row is needed.",
            where=raw.where(column="label"),
            fix="Write one row per judgement, with one label as a word or number.",
        ) from error
    found = list(labels.dropna().unique())
    has_responses = "response_a" in raw.frame and "response_b" in raw.frame
    scale = choose_scale(found, has_responses=has_responses, declared=declared)
    if scale == "preference":
        if not has_responses:
            validation.check_columns(raw, ("response_a", "response_b"))
        preferences = canonical_preferences(labels, raw.source)
        if preferences is None:
            raise DataError(
                f"preference labels are a, b and tie (or 1, 2, 0); found: {validation.listed(found)}.",
                where=raw.where(column="label"),
                fix="Rewrite them, or declare --scale nominal.",
            )
        labels = preferences
    elif declared is None and scale == "ordinal" and not all(map(_is_integer, found)):
        raw = raw.with_notes("The labels are numbers with fractions and were taken as ordinal.")
    return replace(raw, frame=raw.frame.assign(label=labels)), scale


def _is_integer(label: str) -> bool:
    return float(label).is_integer()


def _declared(labels: Sequence[str], scale: Scale) -> tuple[str, ...]:
    cast = [str(label).strip() for label in labels]
    if are_numbers(cast):
        cast = [format_number(float(label)) for label in cast]
    if len(cast) < 2 or len(set(cast)) < len(cast):
        raise UsageError("declare at least two labels, each once.", fix="For example --labels 1,2,3,4,5.")
    if scale == "preference" and set(cast) not in ({"a", "b"}, {"a", "b", "tie"}):
        raise UsageError("the labels of a preference scale are a, b and tie.", fix="Leave --labels out.")
    return tuple(cast)


def _case_note(found: list[str]) -> tuple[str, ...]:
    folded: dict[str, str] = {}
    for label in found:
        other = folded.setdefault(label.casefold(), label)
        if other != label:
            return (f'The labels "{other}" and "{label}" differ only in case and were kept apart.',)
    return ()


def _annotator_notes(frame: pd.DataFrame) -> tuple[str, ...]:
    if "annotator_id" not in frame:
        return ("There are no annotator ids: annotators cannot be told apart.",)
    unknown = int(frame["annotator_id"].isna().sum())
    notes: tuple[str, ...] = (f"{count(unknown, 'judgement')} without an annotator id.",) if unknown else ()
    if frame["annotator_id"].nunique() == 1:
        notes += ("There is only one annotator: disagreement between annotators cannot be seen.",)
    return notes


def _text_notes(frame: pd.DataFrame) -> tuple[str, ...]:
    columns = [name for name in ITEM_COLUMNS if name in frame]
    items = frame.drop_duplicates("item_id")
    twice = int(items.duplicated(columns).sum())
    notes: tuple[str, ...] = (f"{count(twice, 'item')} with the text of an earlier item.",) if twice else ()
    if "split" in frame:
        moved = int((frame.drop_duplicates(["item_id", "split"])["item_id"].duplicated()).sum())
        if moved:
            notes += (f"{count(moved, 'item')} in more than one split.",)
    return notes


def _in_order(frame: pd.DataFrame) -> pd.DataFrame:
    ours = [name for name in OUR_COLUMNS if name in frame]
    return frame[[*ours, *(name for name in frame.columns if name not in ours)]].reset_index(drop=True)
