"""From raw rows to checked annotations: rename, make labels and ids canonical, check, order the labels."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pandas as pd

from dcpc.data import validation
from dcpc.data.advice import columns_option, likely_column, nearest
from dcpc.data.annotations import CHATS, ITEM_COLUMNS, SHARE, Annotations, Scale
from dcpc.data.equality import visible
from dcpc.data.grades import with_grades
from dcpc.data.mapped import codes_of, fingerprints, first_rows, taken
from dcpc.data.marks import without_marked
from dcpc.data.raw import RawTable, count
from dcpc.data.readers.annotator_notes import annotator_notes
from dcpc.data.readers.choices import with_choices
from dcpc.data.readers.compared import is_ranked, with_prompts, with_votes
from dcpc.data.readers.items import with_items
from dcpc.data.readers.label_columns import with_label_columns
from dcpc.data.readers.labels import (
    declared_labels,
    label_notes,
    with_canonical_labels,
    with_plain_labels,
    without_ignored,
)
from dcpc.data.readers.other_rows import without_second_header
from dcpc.data.readers.pair_chats import with_texts_of_chats
from dcpc.data.readers.shares import with_shares
from dcpc.data.readers.side_by_side import with_single_judgements
from dcpc.data.reading import Reading
from dcpc.data.repeats import without_repeats
from dcpc.data.row_filter import where
from dcpc.data.scales import canonical_preferences, check_size, order_labels
from dcpc.data.sliders import on_range
from dcpc.errors import DataError, UsageError

OUR_COLUMNS = validation.OURS
"""The columns that `--columns` can name; all others are attributes and keep their names."""


def assemble(raw: RawTable, reading: Reading, *, own_label: bool = False) -> Annotations:
    """Check raw judgements and build the one long table from them.

    Args:
        raw: rows under our column names (see `rename`).
        reading: what the user chose.
        own_label: the user has named the column of labels, so that no other is looked for.

    Raises:
        DataError: at the first thing that is wrong (see `dcpc.data.validation`).
    """
    validation.check_rows(raw)
    raw = with_prompts(with_votes(with_texts_of_chats(_chosen_rows(raw, reading))))
    of_pairs = {"preference", "response_a"} <= set(raw.frame) and reading.scale in (None, "preference")
    if of_pairs and not own_label:
        raw = _choose_preference_column(raw)
    validation.check_columns(raw, _needed_texts(raw))
    has_shares = SHARE in raw.frame
    raw, labels = with_label_columns(with_single_judgements(raw), reading.labels)
    if labels is not reading.labels:
        reading = replace(reading, labels=labels)
    validation.check_columns(raw, (*_needed_texts(raw), "label"))
    raw, reading = _with_own_order(raw, reading)
    raw = without_ignored(with_plain_labels(without_second_header(raw)), reading.ignore_labels)
    raw, labels = with_choices(raw, reading.labels)
    if labels is not reading.labels:
        reading = replace(reading, labels=labels)
    has_ids = "item_id" in raw.frame
    raw = with_items(raw, exact=reading.exact, skip_blank=reading.skip_blank)
    if not has_ids:
        raw = raw.with_notes('There is no column "item_id": rows with the same text were taken as one item.')
    if reading.range is not None:
        raw, reading = on_range(raw, reading)
    raw, reading = with_grades(raw, reading)
    raw, scale = with_canonical_labels(raw, reading)
    validation.check_present(raw, "label")
    given = raw.frame["label"]
    raw = with_shares(without_repeats(raw, reading.repeats), as_written=has_shares)
    found = list(pd.unique(raw.frame["label"]))
    declared = declared_labels(reading)
    if declared is None:
        lost = len(found) == 1 and given.nunique() > 1
        one_sided = validation.check_classes(raw, found, votes=scale == "preference", repeated=lost)
        raw = raw.with_notes(*one_sided)
        ordered = order_labels(found, scale, raw.source)
        size_notes = check_size(found, len(raw.frame), scale, raw.source, combined=raw.combined > 0)
        raw = raw.with_notes(*size_notes, *label_notes(raw.frame["label"]))
    else:
        ordered = _declared(declared, scale)
        validation.check_labels(raw, ordered)
    raw = raw.with_notes(*annotator_notes(raw), *_text_notes(raw.frame))
    return Annotations(_in_order(raw.frame), ordered, scale, raw.source, raw.notes, reading.range)


def _chosen_rows(raw: RawTable, reading: Reading) -> RawTable:
    """The rows that the user did not leave out."""
    raw = without_marked(raw, reading.leave_out, reading.min_trust)
    return where(raw, reading.where) if reading.where is not None else raw


def _with_own_order(raw: RawTable, reading: Reading) -> tuple[RawTable, Reading]:
    """The order that a column of ordered categories brings, as Parquet keeps it from pandas and R."""
    kind = raw.frame["label"].dtype
    if not isinstance(kind, pd.CategoricalDtype) or not kind.ordered or len(kind.categories) < 3:
        return raw, reading
    if reading.labels is not None or reading.scale is not None or "response_a" in raw.frame:
        return raw, reading
    labels = [str(label) for label in kind.categories]
    if len(set(labels)) < len(labels) or reading.ignore_labels or reading.range is not None:
        return raw, reading
    note = f"The labels have the order of the column's own categories: {', '.join(labels)}."
    return raw.with_notes(note), replace(reading, labels=labels, scale="ordinal")


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
        records: of an annotation tool's export the tool's own record of each item; I of them, or none.
    """

    items: pd.DataFrame
    codes: np.ndarray
    places: np.ndarray
    has_ids: bool
    notes: tuple[str, ...]
    records: tuple[Mapping[str, Any], ...] = ()


def assemble_items(raw: RawTable, reading: Reading) -> ItemRows:
    """Check raw rows of which only the items matter, e.g. those to predict.

    Args:
        raw: rows under our column names.
        reading: what the user chose; of it which rows to leave out, and whether ids and texts are kept exactly.

    Raises:
        DataError: if there is no row, a text is missing or an item has two texts.
    """
    validation.check_rows(raw, "items")
    raw = with_prompts(with_texts_of_chats(_chosen_rows(raw, reading)))
    if is_ranked(raw):
        raise UsageError(
            "each row has more than two responses, and a result is of two.",
            where=raw.source,
            fix=f"Write one row per pair first: dcpc convert {shlex.quote(raw.source)} pairs.csv.",
        )
    validation.check_columns(raw, _needed_texts(raw))
    raw, _ = with_choices(raw)
    has_ids = "item_id" in raw.frame
    others = raw.frame[[name for name in raw.frame.columns if name not in OUR_COLUMNS]]
    raw = with_items(raw, exact=reading.exact, skip_blank=reading.skip_blank)
    known = (*OUR_COLUMNS, *CHATS)
    columns = [name for name in known if name in raw.frame and name not in ("annotator_id", "label")]
    once = np.sort(
        np.unique(raw.places, return_index=True)[1]
    )  # one per row where it held several judgements
    frame = taken(raw.frame, once) if len(once) < len(raw.frame) else raw.frame
    codes = codes_of(frame["item_id"])
    first = first_rows(codes)  # [I]
    items = taken(frame[columns], first)
    notes = _row_notes(len(once), len(items), has_ids, others)
    by_place = {record.place: record.record for record in raw.records}
    records = tuple(by_place[place] for place in raw.places[once][first].tolist()) if by_place else ()
    return ItemRows(items, codes, raw.places[once], has_ids, raw.notes + notes, records)


def _row_notes(rows: int, items: int, has_ids: bool, others: pd.DataFrame) -> tuple[str, ...]:
    if has_ids:
        merged = f"{count(rows, 'row')} of {count(items, 'item')}: one result per item_id."
        return (merged,) if rows > items else ()
    what = 'There is no column "item_id": one result per row, in the order of the rows'
    if rows > items:
        what += f", equal where the text is ({count(items, 'different text')})"
    if len(others.columns):
        close = likely_column(others, "item_id") or "NAME"
        what += f". If a column has ids, keep them with {columns_option({'item_id': close})}"
    return (f"{what}.",)


def _needed_texts(raw: RawTable) -> tuple[str, ...]:
    """Two responses can be compared without the prompt; anything else needs a text."""
    return () if {"response_a", "response_b"} <= set(raw.frame) else ("text",)


def rename(raw: RawTable, columns: Mapping[str, str]) -> RawTable:
    """Give the file's columns our names.

    Args:
        raw: rows under the file's own names.
        columns: our name → the file's name.

    Raises:
        UsageError: if a key is not one of our columns.
        DataError: if the file has no such column.
    """
    unknown = [name for name in columns if name not in (*OUR_COLUMNS, "labels")]
    if unknown:
        raise UsageError(
            f'"{unknown[0]}" is not a column that can be named.', fix=f"Choose from {', '.join(OUR_COLUMNS)}."
        )
    names = [str(name) for name in raw.frame.columns]
    if "labels" in columns:
        raw = replace(raw, label_columns=_matching(columns["labels"], raw))
        columns = {ours: theirs for ours, theirs in columns.items() if ours != "labels"}
    columns = {ours: _as_written(theirs, names) for ours, theirs in columns.items()}
    for ours in (name for name in OUR_COLUMNS if name not in columns and name not in names):
        theirs = _as_written(ours, names)
        if theirs not in (ours, *columns.values()):
            columns[ours] = theirs
    columns = {ours: theirs for ours, theirs in columns.items() if ours != theirs}
    raw = replace(raw, renamed={**raw.renamed, **columns})
    for ours, theirs in columns.items():
        if theirs not in names:
            close = nearest(theirs, names) or likely_column(raw.frame, ours)
            raise DataError(
                f'there is no column "{theirs}"; found: {validation.listed(names)}.',
                where=raw.source,
                fix=f"Correct {columns_option({ours: close})}." if close else "Name one of these columns.",
            )
    frame = raw.frame.drop(
        columns=[ours for ours in columns if ours in raw.frame and ours not in columns.values()]
    )
    return replace(raw, frame=frame.rename(columns={theirs: ours for ours, theirs in columns.items()}))


def _matching(pattern: str, raw: RawTable) -> tuple[str, ...]:
    """The columns that `labels='p_pos|p_neg'` or `labels='p_*'` names.

    Raises:
        DataError: if a part of it names none.
    """
    names, found = [str(name) for name in raw.frame.columns], []
    for part in pattern.split("|"):
        fitting = [name for name in names if plain(name) == plain(part)] or [
            name for name in names if fnmatchcase(plain(name), plain(part))
        ]
        if not fitting:
            close = nearest(part, names)
            raise DataError(
                f'no column is called "{part}"; found: {validation.listed(names)}.',
                where=raw.source,
                fix=f'Did you mean "{close}"?' if close else "Correct it in labels=, or leave it out.",
            )
        found += [name for name in fitting if name not in found]
    return tuple(found)


def _as_written(name: str, names: Sequence[str]) -> str:
    """The only one of the file's column names that is `name` but for its case and spaces around it, else `name`."""
    if name in names:
        return name
    alike = [found for found in names if plain(found) == plain(name)]
    return alike[0] if len(alike) == 1 else name


def plain(name: object) -> str:
    """A column's name without regard to case and spaces around it."""
    return visible(str(name)).casefold()


def _choose_preference_column(raw: RawTable) -> RawTable:
    """Use the column `preference` where `label` is missing or is not about the two responses."""
    if "label" in raw.frame and canonical_preferences(raw.frame["label"], raw.source) is not None:
        return raw
    if canonical_preferences(raw.frame["preference"], raw.source) is None:
        return raw
    frame = raw.frame.drop(columns="label", errors="ignore").rename(columns={"preference": "label"})
    return replace(raw, frame=frame).with_notes('The labels were taken from the column "preference".')


def _declared(declared: Sequence[str], scale: Scale) -> tuple[str, ...]:
    if scale == "preference" and set(declared) not in ({"a", "b"}, {"a", "b", "tie"}):
        raise UsageError("the labels of a preference scale are a, b and tie.", fix="Leave --labels out.")
    return tuple(declared)


_SUMS = ("total", "totals", "grand total", "subtotal", "sum", "mean", "average", "avg", "median", "count")


def _text_notes(frame: pd.DataFrame) -> tuple[str, ...]:
    return (*_repeated_texts(frame), *_last_row(frame))


def _last_row(frame: pd.DataFrame) -> tuple[str, ...]:
    """What spreadsheets write below a table."""
    text = str(frame["text"].iloc[-1]).strip() if "text" in frame else ""
    if text.rstrip(":. ").casefold() not in _SUMS or int((frame["text"] == text).sum()) == len(frame):
        return ()
    wanted = f'text != "{text}"'
    leaves = f"--where {shlex.quote(wanted)} leaves it out"
    return (f'The last row\'s text is "{text}". If it sums up the others, {leaves}.',)


def _repeated_texts(frame: pd.DataFrame) -> tuple[str, ...]:
    columns = [name for name in ITEM_COLUMNS if name in frame]
    codes = codes_of(frame["item_id"])
    first = first_rows(codes)  # [I]
    twice = int((np.diff(np.sort(fingerprints(frame[columns])[first])) == 0).sum()) if columns else 0
    notes: tuple[str, ...] = (f"{count(twice, 'item')} with the text of an earlier item.",) if twice else ()
    if "split" in frame:
        where = pd.DataFrame({"item": codes, "split": pd.factorize(frame["split"])[0]}).drop_duplicates()
        moved = int(where["item"].duplicated().sum())
        if moved:
            notes += (f"{count(moved, 'item')} in more than one split.",)
    return notes


def _in_order(frame: pd.DataFrame) -> pd.DataFrame:
    ours = [name for name in OUR_COLUMNS if name in frame]
    return frame[[*ours, *(name for name in frame.columns if name not in ours)]].reset_index(drop=True)
