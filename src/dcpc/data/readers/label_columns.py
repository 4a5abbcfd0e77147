"""Labels that stand in a column each: choices of one annotator as 0 and 1, or an item's shares and counts of labels.

| columns hold | become |
|---|---|
| 0 and 1, beside annotators or several at once | one judgement per row, choices combined as readers do (`a,b`) |
| shares that sum to 1, or percentages to 100 | a row for each label with its `label_share`; nobody is named |
| whole numbers, how many said so | as many judgements, by nobody who is named |

`--columns labels='p_*'` names them. Without it they are taken as such only where nothing else is a label and their
content is beyond doubt: three columns of 0 and 1 beside annotators, or shares of which (nearly) all rows sum to one.
One column of objects, `{"pos": 0.7, "neg": 0.3}`, is the same in one cell.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from dcpc.data import validation
from dcpc.data.advice import likely_annotators, one_hot_columns
from dcpc.data.raw import RawTable, count
from dcpc.data.readers.shares import Found, are_counts, are_shares, as_rows
from dcpc.data.scales import ABSENT, as_text
from dcpc.data.structure import combined, is_counts, parsed, plain
from dcpc.errors import DataError

_NO_CHOICE = frozenset(
    {"neutral", "none", "other", "normal", "clean", "nothing", "none of the above", "no label"}
)
_PREFIX = re.compile(
    r"(p|prob|proba|probability|probs|share|shares|soft|soft_label|softlabel|pct|percent|perc|frac|fraction|dist|"
    r"label|labels|votes?|count|counts|n|num|target)[ _.:-]+",
    re.I,
)
_SUFFIX = re.compile(
    r"[ _.:-]+(p|prob|proba|probability|share|shares|pct|percent|percentage|frac|fraction|votes?|count|counts|n|%)",
    re.I,
)
_COUNTED = re.compile(
    r"(votes?|counts?|n|num|number)[ _.:-].+|.+[ _.:-](votes?|counts?|n)", re.I
)  # of names that say so
_NUMBER = re.compile(r"\s*([+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:e[+-]?\d+)?)\s*(%?)\s*", re.I)


def with_label_columns(raw: RawTable, labels: Sequence[str] | None) -> tuple[RawTable, Sequence[str] | None]:
    """A column `label` from columns of one label each; a table that has a label column stays as it is.

    Args:
        raw: rows under our column names; `label_columns` as the user named them, else empty.
        labels: the label set, or None to collect it.

    Returns:
        The table, and the label set, with labels that no item has a share of.

    Raises:
        DataError: shares that do not sum to one, or a cell that is no number; names the row.
    """
    if raw.label_columns:
        return _read_columns(raw, list(raw.label_columns), labels)
    if "label" in raw.frame:
        return _of_cells(raw, "label", labels) if _holds_counts(raw.frame["label"]) else (raw, labels)
    hot = one_hot_columns(raw.frame)
    if hot and not _constant_per_annotator(raw.frame, hot):
        return _chosen(raw, hot), labels
    if "annotator_id" not in raw.frame and (columns := share_columns(raw.frame)):
        return _read_columns(raw, columns, labels)
    cells = [str(name) for name in raw.frame if _holds_counts(raw.frame[name])]
    if len(cells) == 1 and "annotator_id" not in raw.frame:
        return _of_cells(raw, cells[0], labels)
    return raw, labels


def share_columns(frame: pd.DataFrame) -> list[str]:
    """Columns whose values sum to one (or 100 %) in nearly all rows, or whose names say that they count votes."""
    free = [str(name) for name in frame.columns if isinstance(name, str) and name not in validation.OURS]
    numbers = {name: found for name in free if (found := _numbers(frame[name])) is not None}
    groups: dict[str, list[str]] = {}
    for name in numbers:
        for key in {name[: start.end()] if (start := _PREFIX.match(name)) else "", ""}:
            groups.setdefault(key.casefold(), []).append(name)
        if suffix := _ending(name):
            groups.setdefault(f"*{suffix}", []).append(name)
    fitting = [
        names
        for names in groups.values()
        if len(names) > 1 and are_shares(np.column_stack([numbers[n] for n in names]))
    ]
    if fitting:
        return max(fitting, key=len)
    counted = [name for name in numbers if _COUNTED.fullmatch(name)]
    by_shape: dict[str, list[str]] = {}
    for name in counted:
        prefix = _PREFIX.match(name)
        by_shape.setdefault((prefix[0] if prefix else f"*{_ending(name)}").casefold(), []).append(name)
    groups_of_counts = [
        names
        for names in by_shape.values()
        if len(names) > 1 and are_counts(np.column_stack([numbers[n] for n in names]))
    ]
    return groups_of_counts[0] if len(groups_of_counts) == 1 else []


def _ending(name: str) -> str:
    found = [match for match in _SUFFIX.finditer(name) if match.end() == len(name)]
    return found[0][0].casefold() if found else ""


def _numbers(values: pd.Series) -> np.ndarray | None:
    """A column as numbers [R], NaN where empty, percentages as they are written; None where a value is no number."""
    if pd.api.types.is_bool_dtype(values.dtype):
        return None
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values.to_numpy(dtype=float, na_value=np.nan)
    found = np.full(len(values), np.nan)
    for row, value in enumerate(values):
        if isinstance(value, list | dict | np.ndarray | bool) or value is None:
            if value is None:
                continue
            return None
        if pd.isna(value) or str(value).strip() in ("", *ABSENT):
            continue
        match = _NUMBER.fullmatch(str(value))
        if match is None:
            return None
        found[row] = float(match[1].replace(",", "."))
    return found if np.isfinite(found).any() else None


def _holds_counts(values: pd.Series) -> bool:
    """Whether all cells map labels to numbers, as objects, JSON or what Python prints."""
    given = [value for value in values.head(200) if isinstance(value, dict | str)]
    if not given or (isinstance(given[0], str) and not given[0].lstrip().startswith("{")):
        return False
    cells = [cell for value in given if isinstance(cell := _mapping(value), dict)]
    several = any(is_counts(cell) for cell in cells)
    return several and len(cells) == len(given) and all(is_counts({**cell, "": 0}) for cell in cells)


def _mapping(value: object) -> object:
    found = parsed(value) if isinstance(value, str) else plain(value)
    if not isinstance(found, dict):
        return None
    return {name: number for name, number in found.items() if number is not None}


def _constant_per_annotator(frame: pd.DataFrame, columns: Sequence[str]) -> bool:
    """Whether the columns say something about annotators: one value for all rows of each."""
    who = frame[likely_annotators(frame)[0]].astype("str")
    several = who.duplicated(keep=False)
    if not several.any():
        return False
    values = frame.loc[several, list(columns)].fillna(0).astype("str").replace({"": "0"})
    return bool((values.groupby(who[several]).nunique() <= 1).all(axis=None))


def _one_each(frame: pd.DataFrame, columns: Sequence[str]) -> bool:
    """Whether every row has a single 1, so that the columns are shares as well."""
    return bool((frame[list(columns)].apply(as_text).isin(["1", "1.0"]).sum(axis=1) == 1).all())


def _chosen(raw: RawTable, columns: Sequence[str]) -> RawTable:
    """One judgement per row from columns of 0 and 1; those who chose nothing did not answer, or chose `none`."""
    chosen = np.column_stack(
        [
            as_text(raw.frame[name]).isin(["1", "1.0", "true", "True", "TRUE"]).to_numpy(bool)
            for name in columns
        ]
    )  # [R, C]
    names = _short(columns, _SWITCH)
    none = np.asarray(~chosen.any(axis=1))  # [R]
    has_neutral = any(name.casefold() in _NO_CHOICE for name in names)
    labels = [combined([name for name, is_set in zip(names, row, strict=True) if is_set]) for row in chosen]
    several = int((chosen.sum(axis=1) > 1).sum())
    frame = raw.frame.drop(columns=list(columns)).assign(label=pd.Series(labels, dtype=object))
    if "annotator_id" not in frame and (who := likely_annotators(raw.frame)):
        frame = frame.rename(columns={who[0]: "annotator_id"})
        raw = replace(raw, renamed={**raw.renamed, "annotator_id": who[0]})
        raw = raw.with_notes(f'Annotators were taken from the column "{who[0]}".')
    said = (
        f"{count(len(columns), 'column')} of 0 and 1, {validation.listed(columns)}, were taken as one label each; "
        f"{count(several, 'judgement')} with several labels got one combined label."
    )
    raw = replace(raw, frame=frame, combined=raw.combined + several).with_notes(
        f"{said} One question alone is --columns label=NAME."
    )
    if not none.any():
        return raw
    if has_neutral:
        raw = raw.only(~none)
        validation.check_rows(raw)
        return raw.with_notes(f"Skipped: {count(int(none.sum()), 'judgement')} without any of these labels.")
    raw = replace(raw, frame=raw.frame.assign(label=raw.frame["label"].where(~none, "none")))
    return raw.with_notes(
        f'{count(int(none.sum()), "judgement")} with none of these labels got the label "none". --ignore-labels none '
        "leaves them out."
    )


_SWITCH = re.compile(r"(label|labels|is|has|emotion|answer)[ _.:-]+", re.I)


def _short(
    names: Sequence[str], prefix: re.Pattern[str] = _PREFIX, suffix: re.Pattern[str] | None = None
) -> list[str]:
    """Names without what all of them begin or end with, where that only says that they are labels."""
    starts = {found[0].casefold() if (found := prefix.match(name)) else "" for name in names}
    if len(starts) == 1 and (start := next(iter(starts))):
        names = [name[len(start) :] for name in names]
    elif suffix is not None:
        ends = {_ending(name) for name in names}
        if len(ends) == 1 and (end := next(iter(ends))):
            names = [name[: -len(end)] for name in names]
    return [name.strip() for name in names]


def _read_columns(
    raw: RawTable, columns: list[str], labels: Sequence[str] | None
) -> tuple[RawTable, Sequence[str] | None]:
    """Columns that the user named, or that are shares beyond doubt."""
    if len(columns) < 2:
        raise DataError(
            f"only one column is named as that of a label: {validation.listed(columns)}.",
            where=raw.source,
            fix="Name all of them: --columns labels='NAME_1|NAME_2' or labels='p_*'.",
        )
    distinct = {
        text for name in columns for text in as_text(raw.frame[name]).dropna().str.casefold().unique()
    }
    if distinct <= {"0", "1", "true", "false", "0.0", "1.0"} and (
        "annotator_id" in raw.frame or distinct & {"true", "false"} or not _one_each(raw.frame, columns)
    ):
        return _chosen(raw, columns), labels
    if "annotator_id" in raw.frame:
        raise DataError(
            f"the columns {validation.listed(columns)} hold more than 0 and 1, beside a column of annotators.",
            where=raw.source,
            fix="Shares and counts are read of items, where nobody is named; an annotator's labels are 0 and 1.",
        )
    values = []
    for name in columns:
        found = _numbers(raw.frame[name])
        if found is None:
            texts = as_text(raw.frame[name])
            wrong = ~texts.fillna("0").map(lambda text: bool(_NUMBER.fullmatch(text))).to_numpy(bool)
            row = int(wrong.argmax())
            raise DataError(
                "a share or a count is needed, found "
                + (f'"{texts.iloc[row]}".' if wrong.any() else "nothing but empty cells."),
                where=raw.where(row, name),
                fix="Write numbers, or leave the column out of --columns labels=….",
            )
        values.append(found)
    names = _short(columns, _PREFIX, _SUFFIX)
    frame = raw.frame.drop(columns=columns)
    found_all = Found(
        tuple(names),
        np.column_stack(values),
        validation.listed(columns),
        all(map(_COUNTED.fullmatch, columns)),
    )
    return as_rows(replace(raw, frame=frame), found_all, labels)


def _of_cells(
    raw: RawTable, column: str, labels: Sequence[str] | None
) -> tuple[RawTable, Sequence[str] | None]:
    """Cells that map labels to shares or counts."""
    cells: list[dict[str, float]] = []
    for row, cell in enumerate(raw.frame[column]):
        value = {} if cell is None or (isinstance(cell, float) and np.isnan(cell)) else _mapping(cell)
        if not isinstance(value, dict) or (value and not all(_is_number(n) for n in value.values())):
            raise DataError(
                "the cell does not map labels to numbers, as others of this column.",
                where=raw.where(row, column),
                fix="Correct it, or remove the row.",
            )
        cells.append(value)
    names = tuple(dict.fromkeys(str(name) for cell in cells for name in cell))
    values = np.array([[float(cell.get(name, 0 if cell else np.nan)) for name in names] for cell in cells])
    frame = raw.frame.drop(columns=column)
    return as_rows(replace(raw, frame=frame), Found(names, values, f'"{column}"', counts=True), labels)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
