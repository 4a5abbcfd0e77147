"""From raw rows to checked annotations: rename, make labels and ids canonical, check, order the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np
import pandas as pd

from dcpc.data import validation
from dcpc.data.annotations import ITEM_COLUMNS, Annotations, Scale
from dcpc.data.raw import RawTable, count
from dcpc.data.scales import (
    ABSENT,
    are_numbers,
    as_text,
    canonical_labels,
    canonical_preferences,
    check_size,
    choose_scale,
    format_number,
    numbers_written_apart,
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
    validation.check_rows(raw)
    if "preference" in raw.frame and "response_a" in raw.frame:
        raw = _choose_preference_column(raw)
    validation.check_columns(raw, ("text", "label"))
    has_ids = "item_id" in raw.frame
    raw = _check_items(raw)
    if not has_ids:
        raw = raw.with_notes('There is no column "item_id": rows with the same text were taken as one item.')
    raw, scale = _with_canonical_labels(raw, scale)
    validation.check_present(raw, "label")
    validation.check_no_duplicates(raw)
    found = list(pd.unique(raw.frame["label"]))
    if labels is None:
        validation.check_classes(raw, found)
        ordered = order_labels(found, scale, raw.source)
        raw = raw.with_notes(*check_size(found, len(raw.frame), scale, raw.source), *_case_note(found))
        raw = raw.with_notes(*_absent_note(raw.frame["label"]))
    else:
        ordered = _declared(labels, scale)
        validation.check_labels(raw, ordered)
    raw = raw.with_notes(*_annotator_notes(raw.frame), *_text_notes(raw.frame))
    return Annotations(_in_order(raw.frame), ordered, scale, raw.source, raw.notes)


@dataclass(frozen=True)
class ItemRows:
    """The items of a source and the rows they stand in; I distinct items, R rows.

    Attributes:
        items: `item_id`, `text` and, where there, `text_pair`, `response_a`, `response_b`, `split`; I rows in the
            order of first appearance.
        codes: for each row the position of its item in `items`, int [R].
        places: for each row its number as the user counts it, int [R], in the order of the source.
        has_ids: whether the source itself has item ids; else they are hashes of the texts.
        notes: what was skipped or changed, one sentence each, to be shown to the user.
    """

    items: pd.DataFrame
    codes: np.ndarray
    places: np.ndarray
    has_ids: bool
    notes: tuple[str, ...]


def assemble_items(raw: RawTable) -> ItemRows:
    """Check raw rows of which only the items matter, e.g. those to predict.

    Raises:
        DataError: if there is no row, a text is missing or an item has two texts.
    """
    validation.check_rows(raw, "items")
    validation.check_columns(raw, ("text",))
    has_ids = "item_id" in raw.frame
    others = [name for name in raw.frame.columns if name not in OUR_COLUMNS]
    raw = _check_items(raw)
    columns = [name for name in OUR_COLUMNS if name in raw.frame and name not in ("annotator_id", "label")]
    once = np.sort(
        np.unique(raw.places, return_index=True)[1]
    )  # one per row where it held several judgements
    frame = raw.frame.iloc[once]
    codes, _ = pd.factorize(frame["item_id"])
    items = frame.drop_duplicates("item_id")[columns].reset_index(drop=True)
    notes = _row_notes(len(once), len(items), has_ids, others)
    return ItemRows(items, codes, raw.places[once], has_ids, raw.notes + notes)


def _row_notes(rows: int, items: int, has_ids: bool, others: Sequence[object]) -> tuple[str, ...]:
    if has_ids:
        merged = f"{count(rows, 'row')} of {count(items, 'item')}: one result per item_id."
        return (merged,) if rows > items else ()
    what = 'There is no column "item_id": one result per row, in the order of the rows'
    if rows > items:
        what += f", equal where the text is ({count(items, 'different text')})"
    if others:
        close = validation.nearest("item_id", [str(name) for name in others])
        what += f". If a column has ids, keep them with --columns item_id={close or 'NAME'}"
    return (f"{what}.",)


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
    names = [str(name) for name in raw.frame.columns]
    columns = {ours: _as_written(theirs, names) for ours, theirs in columns.items()}
    for ours in (name for name in OUR_COLUMNS if name not in columns and name not in names):
        theirs = _as_written(ours, names)
        if theirs not in (ours, *columns.values()):
            columns[ours] = theirs
    columns = {ours: theirs for ours, theirs in columns.items() if ours != theirs}
    raw = replace(raw, renamed={**raw.renamed, **columns})
    for ours, theirs in columns.items():
        if theirs not in names:
            close = validation.nearest(theirs, names)
            raise DataError(
                f'there is no column "{theirs}"; found: {validation.listed(names)}.',
                where=raw.source,
                fix=f"Correct --columns {ours}={close or 'YOUR_COLUMN'}.",
            )
    frame = raw.frame.drop(
        columns=[ours for ours in columns if ours in raw.frame and ours not in columns.values()]
    )
    return replace(raw, frame=frame.rename(columns={theirs: ours for ours, theirs in columns.items()}))


def _as_written(name: str, names: Sequence[str]) -> str:
    """The only one of the file's column names that is `name` but for its case and spaces around it, else `name`."""
    if name in names:
        return name
    alike = [found for found in names if plain(found) == plain(name)]
    return alike[0] if len(alike) == 1 else name


def plain(name: object) -> str:
    """A column's name without regard to case and spaces around it."""
    return str(name).strip().casefold()


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
    return raw


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
    if apart := numbers_written_apart(found):
        raw = raw.with_notes(
            f"{validation.listed(apart)} are labels of their own: beside words, numbers are kept as they are written."
        )
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


def _absent_note(labels: pd.Series) -> tuple[str, ...]:
    """Words that usually mean "not labelled" are labels in a long table, where every row is a judgement."""
    found = labels[labels.isin(ABSENT)].value_counts()
    if found.empty:
        return ()
    which = ", ".join(f'"{label}" ({count(int(n), "judgement")})' for label, n in found.items())
    return (f"Kept as a label: {which}. If it means that nobody labelled the item, remove these rows.",)


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
