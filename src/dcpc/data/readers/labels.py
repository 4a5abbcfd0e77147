"""Labels of a raw table: read from structured cells, in one spelling each, on their scale."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from dcpc.data import validation
from dcpc.data.advice import labels_option
from dcpc.data.equality import are_numbers, fold_labels, plain_number, visible
from dcpc.data.raw import RawTable, count
from dcpc.data.reading import Reading
from dcpc.data.scales import (
    LIKELY_ABSTENTIONS,
    Scale,
    as_text,
    canonical_preferences,
    choose_scale,
    names_a_side,
    numbers_written_apart,
)
from dcpc.data.structure import NotALabel, answer, combined, is_missing, parsed, plain
from dcpc.errors import DataError, UsageError


def with_plain_labels(raw: RawTable) -> RawTable:
    """Labels from cells that are, or hold, JSON, lists or mappings; rows with an empty list are left out.

    Raises:
        DataError: naming the row whose cell is not a label but spans, a ranking or something else.
    """
    labels = raw.frame["label"]
    cells = _structured(raw, labels)
    if cells is None:
        return raw
    if any(_says_twice(cell) for cell in cells):
        raw, cells = _one_each(raw, cells)
    answers: list[object] = []
    several = 0
    for row, cell in enumerate(cells):
        try:
            found = answer(cell)
        except NotALabel as error:
            raise DataError(
                f"the cell is not a label but {error}.",
                where=raw.where(row, "label"),
                fix="Write one row per judgement, with one label as a word or number, or name another column.",
            ) from error
        if isinstance(found, list):
            several += len(found) > 1
            found = combined(found)
        answers.append(found)
    raw = replace(raw, frame=raw.frame.assign(label=pd.Series(answers, dtype=object)))
    empty = np.array(
        [isinstance(cell, list | dict) and is_missing(a) for cell, a in zip(cells, answers, strict=True)],
        dtype=bool,
    )
    if empty.any():
        raw = raw.only(~empty).with_notes(
            f"Skipped: {count(int(empty.sum()), 'judgement')} without an answer."
        )
        validation.check_rows(raw)
    if several:
        raw = raw.with_notes(f"{count(several, 'judgement')} with several labels got one combined label.")
    return raw


def _structured(raw: RawTable, labels: pd.Series) -> list[object] | None:
    """The labels with what they hold, [J]; None where all of them are words and numbers."""
    if pd.api.types.is_numeric_dtype(labels.dtype) or pd.api.types.is_bool_dtype(labels.dtype):
        return None
    if labels.dtype == "str" and not any(_may_open(value) for value in labels.dropna().unique()):
        return None
    opens = [
        row
        for row, value in enumerate(labels)
        if isinstance(value, list | dict | tuple | np.ndarray)
        or (isinstance(value, str) and _may_open(value))
    ]
    if not opens:
        return None
    cells = list(labels)
    unread = []
    for row in opens:
        value = cells[row]
        found = parsed(value) if isinstance(value, str) else plain(value)
        if found is None:
            unread.append(row)
        else:
            cells[row] = found
    if len(unread) == len(opens):
        return None  # words in brackets, as [unclear]
    if unread:
        raise DataError(
            "the cell begins like a list or an object, as others of this column, but is none.",
            where=raw.where(unread[0], "label"),
            fix="Correct it, or export the column as one word or number per row.",
        )
    return cells


def _may_open(value: str) -> bool:
    return value.lstrip().startswith(("[", "{", "array("))


def _says_twice(cell: object) -> bool:
    """Whether a list holds a plain value twice: the answers of several people, as nobody chooses one label twice."""
    if not isinstance(cell, list) or any(isinstance(each, list | dict) for each in cell):
        return False
    return len({str(each) for each in cell}) < len(cell)


def _one_each(raw: RawTable, cells: list[object]) -> tuple[RawTable, list[object]]:
    """One row for each value of a list, as for the answers of several people."""
    lists = [cell if isinstance(cell, list) else [cell] for cell in cells]
    rows = np.repeat(np.arange(len(lists)), [max(1, len(each)) for each in lists])
    spread = raw.only(rows).with_notes(
        f'{count(len(lists), "cell")} of "{raw.renamed.get("label", "label")}" hold lists in which a label stands '
        "twice: they were read as judgements of several people, who are not named."
    )
    return spread, [each for values in lists for each in (values or [[]])]


def without_ignored(raw: RawTable, ignored: Sequence[str]) -> RawTable:
    """The rows whose label is none of those to ignore; each is counted.

    Raises:
        UsageError: if no row has one of them.
    """
    if not ignored:
        return raw
    labels = as_text(raw.frame["label"]).map(lambda label: visible(label).casefold(), na_action="ignore")
    wanted = {visible(label).casefold(): label for label in ignored}
    found = labels.value_counts()
    unknown = [label for key, label in wanted.items() if key not in found]
    if unknown:
        raise UsageError(
            f'--ignore-labels names "{unknown[0]}", which no row has.',
            where=raw.where(column="label"),
            fix=f"Labels are: {validation.listed(list(dict.fromkeys(as_text(raw.frame['label']).dropna())))}.",
        )
    counts = ", ".join(f'"{label}" ({count(int(found[key]), "judgement")})' for key, label in wanted.items())
    raw = raw.only(~labels.isin(list(wanted)).to_numpy(dtype=bool)).with_notes(f"Left out: {counts}.")
    validation.check_rows(raw)
    return raw


def with_canonical_labels(raw: RawTable, reading: Reading) -> tuple[RawTable, Scale]:
    """Labels as strings, those that mean the same in one spelling, and their scale.

    Raises:
        DataError: if a preference has labels that are none.
    """
    labels = _as_text(raw)
    if not reading.exact:
        folded = fold_labels(labels, declared_labels(reading), decimal_comma=raw.decimal_comma)
        raw, labels = raw.with_notes(*folded.note("label")), folded.values
    found = list(labels.dropna().unique())
    if not reading.exact and (apart := numbers_written_apart(found)):
        raw = raw.with_notes(
            f"{validation.listed(apart)} are labels of their own: beside words, numbers are kept as they are written."
        )
    has_responses = "response_a" in raw.frame and "response_b" in raw.frame
    scale = choose_scale(found, has_responses=has_responses, declared=reading.scale)
    if scale == "preference":
        labels = _preferences(raw, labels, found)
    elif (
        reading.scale is None and scale == "ordinal" and not all(float(label).is_integer() for label in found)
    ):
        raw = raw.with_notes("The labels are numbers with fractions and were taken as ordinal.")
    return replace(raw, frame=raw.frame.assign(label=labels)), scale


def declared_labels(reading: Reading) -> list[str] | None:
    """The label set that the user declared, numbers in one spelling; None where it is to be collected.

    Raises:
        UsageError: if it has less than two labels, or one twice.
    """
    if reading.labels is None:
        return None
    cast = [str(label) if reading.exact else visible(str(label)) for label in reading.labels]
    if are_numbers(cast) and not reading.exact:
        cast = [plain_number(label) for label in cast]
    if len(cast) < 2 or len(set(cast)) < len(cast):
        raise UsageError("declare at least two labels, each once.", fix="For example --labels 1,2,3,4,5.")
    return cast


def _as_text(raw: RawTable) -> pd.Series:
    try:
        return as_text(raw.frame["label"], exact=True)
    except TypeError as error:
        raise DataError(
            "the labels are lists or objects; one label per row is needed.",
            where=raw.where(column="label"),
            fix="Write one row per judgement, with one label as a word or number.",
        ) from error


def _preferences(raw: RawTable, labels: pd.Series, found: Sequence[str]) -> pd.Series:
    validation.check_columns(raw, ("response_a", "response_b"))
    preferences = canonical_preferences(labels, raw.source)
    if preferences is not None:
        return preferences
    if odd := [label for label in found if not names_a_side(label)]:
        rows = np.flatnonzero(labels.isin(odd))
        if len(rows) < labels.notna().sum() / 2:  # else they are no votes at all
            more = f" ({len(rows):,} such rows)" if len(rows) > 1 else ""
            raise DataError(
                f'"{labels.iloc[rows[0]]}" is a vote for neither side{more}: votes are a, b and tie (or 1, 2, 0).',
                where=raw.where(int(rows[0]), "label"),
                fix=f"Correct it, or leave such rows out: {labels_option(odd, '--ignore-labels')}.",
            )
    scale = "ordinal" if len(found) > 2 and are_numbers(found) else "nominal"
    raise DataError(
        f"preference labels are a, b and tie (or 1, 2, 0); found: {validation.listed(found)}.",
        where=raw.where(column="label"),
        fix=f"Declare --scale {scale}, or rewrite them.",
    )


def label_notes(labels: pd.Series) -> tuple[str, ...]:
    """What a user may want to do about labels that differ in case, or that may be no judgement."""
    found = list(labels.unique())
    several = (
        _case_note(found),
        _percent_note(found),
        _truth_note(found),
        _mixed_note(found),
        _date_note(found),
        _month_note(found),
    )
    return (*_abstention_note(labels), *(note for notes in several for note in notes))


def _case_note(found: Sequence[str]) -> tuple[str, ...]:
    folded: dict[str, str] = {}
    for label in found:
        other = folded.setdefault(label.casefold(), label)
        if other != label:
            return (f'The labels "{other}" and "{label}" differ only in case and were kept apart.',)
    bare: dict[str, str] = {}
    blanks: dict[str, str] = {}
    for label in found:
        other = blanks.setdefault(" ".join(label.split()), label)
        if other != label:
            return (f"The labels {other!r} and {label!r} differ only in blanks and were kept apart.",)
    for label in found:
        other = bare.setdefault(label.casefold().strip(" .!?'\"`_*") or label, label)
        if other != label:
            return (f'The labels "{other}" and "{label}" differ only in punctuation and were kept apart.',)
    return ()


def _abstention_note(labels: pd.Series) -> tuple[str, ...]:
    """Words that usually mean "not labelled" or "I do not know": each row of a long table is a judgement."""
    counts = labels.value_counts()
    found = counts[counts.index.str.casefold().isin(LIKELY_ABSTENTIONS)]
    if found.empty:
        return ()
    which = ", ".join(f'"{label}" ({count(int(n), "judgement")})' for label, n in found.items())
    option = labels_option([str(label) for label in found.index], "--ignore-labels")
    return (f"Kept as a label: {which}. If it means that nobody labelled the item, {option} leaves it out.",)


_TRUTHS = {"true", "t", "yes", "y", "1"}, {"false", "f", "no", "n", "0"}


def _mixed_note(found: Sequence[str]) -> tuple[str, ...]:
    """Truth values beside numbers other than 0 and 1, as where columns of two questions were joined."""
    lowered = {label.casefold() for label in found}
    numbers = [label for label in found if are_numbers([label])]
    if not lowered & {"true", "false"} or not numbers or lowered <= _TRUTHS[0] | _TRUTHS[1]:
        return ()
    return (f"Labels mix truth values and numbers: {validation.listed(found)}. Is it one question?",)


_DATE = re.compile(r"\d{4}-\d\d?-\d\d?([ T]\d.*)?|\d\d?[./]\d\d?[./]\d{2,4}")


def _truth_note(found: Sequence[str]) -> tuple[str, ...]:
    """Truth values in the spellings of several tools, as true and yes, which may be the same."""
    lowered = {label.casefold() for label in found}
    if not lowered <= _TRUTHS[0] | _TRUTHS[1] or max(len(lowered & side) for side in _TRUTHS) < 2:
        return ()
    return (
        f"These labels may say the same in several ways, and were kept apart: {validation.listed(found)}.",
    )


def _date_note(found: Sequence[str]) -> tuple[str, ...]:
    """A spreadsheet makes dates of labels like 1-2, and a column of times is none of labels."""
    if not all(_DATE.fullmatch(label) for label in found):
        return ()
    return (
        f"All labels are dates, as {found[0]}: is it the right column, or has a spreadsheet changed the labels?",
    )


_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DAY_OF_MONTH = re.compile(rf"\d{{1,2}}-({_MONTHS})|({_MONTHS})[ -]\d{{1,2}}", re.I)


def _month_note(found: Sequence[str]) -> tuple[str, ...]:
    """What a spreadsheet makes of some labels such as 1-5 and 3/4, beside others that it leaves."""
    days = [label for label in found if _DAY_OF_MONTH.fullmatch(label)]
    return (
        (f"{validation.listed(days)}: days of a month, as spreadsheets make of 1-5 and 3/4.",) if days else ()
    )


def _percent_note(found: Sequence[str]) -> tuple[str, ...]:
    if len(found) < 2 or not all(
        label.endswith("%") and are_numbers([label[:-1].strip()]) for label in found
    ):
        return ()
    ordered = sorted(found, key=lambda label: float(label[:-1]))
    return (
        "The labels are percentages and were taken as words without an order: "
        f"--scale ordinal {labels_option(ordered)} gives them theirs.",
    )
