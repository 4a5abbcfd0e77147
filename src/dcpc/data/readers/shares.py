"""Shares and counts of labels as rows: one for each label of an item, whose `label_share` sum to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dcpc.data import validation
from dcpc.data.annotations import SHARE
from dcpc.data.mapped import codes_of
from dcpc.data.raw import RawTable, count
from dcpc.errors import DataError

TOLERANCE = 0.01
LEAST_SUM_TO_ONE = 0.9
"""Share of rows that must sum to one before columns are taken as shares without being named."""
MOST_JUDGEMENTS = 20_000_000


@dataclass(frozen=True)
class Found:
    """How much each of C labels got in R rows.

    Attributes:
        names: of the labels.
        values: float [R, C]; NaN in rows that say nothing.
        shown: what the columns are called, for messages.
        counts: whole numbers are counts, also where each row's sum to 100.
    """

    names: tuple[str, ...]
    values: np.ndarray
    shown: str
    counts: bool


def _whole(values: np.ndarray) -> float:
    """What the shares of a row sum to: 1, or 100 for percentages."""
    known = values[np.isfinite(values).any(axis=1)]
    return 100.0 if len(known) and np.nanmedian(np.nansum(known, axis=1)) > 50 else 1.0


def _tolerance(whole: float, n_labels: int) -> float:
    """How far a sum of rounded shares may be from the whole: half a unit of the second digit for each."""
    return whole * max(0.01, 0.005 * n_labels) + 1e-9


def are_shares(values: np.ndarray) -> bool:
    """Whether (nearly) all rows [R, C] sum to one or 100, and not only because one label has all."""
    known = values[np.isfinite(values).any(axis=1)]
    if not len(known) or (known < 0).any():
        return False
    whole = _whole(values)
    fits = np.abs(np.nansum(known, axis=1) - whole) <= _tolerance(whole, values.shape[1])
    between = ((known > 0) & (known < whole)).any(axis=1)  # a one-hot row is a share, too, but proves nothing
    return bool(fits.mean() >= LEAST_SUM_TO_ONE and between.any())


def are_counts(values: np.ndarray) -> bool:
    """Whether all values [R, C] are whole numbers, some above one; NaN where there is none."""
    known = values[np.isfinite(values)]
    return bool((known >= 0).all() and (known == np.round(known)).all() and known.max(initial=0) > 1)


def as_rows(
    raw: RawTable, found: Found, labels: Sequence[str] | None
) -> tuple[RawTable, Sequence[str] | None]:
    """One row for each label of an item with its share, or as many rows as it was counted."""
    values = found.values
    silent = ~np.isfinite(values).any(axis=1)
    amounts = np.nan_to_num(values)  # [R, C]
    if (amounts < 0).any():
        row = int((amounts < 0).any(axis=1).argmax())
        raise DataError("a share is negative.", where=raw.where(row), fix="Correct the row, or remove it.")
    # Whole numbers that sum to 100 may be either: of columns they are percentages, unless these say that they count.
    as_shares = not are_counts(values) or (are_shares(values) and not found.counts)
    if as_shares:
        _check_sums(raw, amounts, silent)
    empty = silent | (amounts.sum(axis=1) == 0)
    rows, labelled = np.nonzero(amounts * ~empty[:, None])  # [J]
    shares = amounts / np.where(empty, 1, amounts.sum(axis=1))[:, None]
    times = np.ones(len(rows), dtype=np.int64) if as_shares else amounts[rows, labelled].astype(np.int64)
    if times.sum() > MOST_JUDGEMENTS:
        raise DataError(
            f"the counts sum to {int(times.sum()):,}: too many to be judgements.",
            where=raw.source,
            fix="Write shares instead of counts, each row divided by its sum.",
        )
    rows, labelled = np.repeat(rows, times), np.repeat(labelled, times)
    frame = (
        raw.frame.drop(columns=[n for n in ("label", SHARE) if n in raw.frame])
        .iloc[rows]
        .reset_index(drop=True)
    )
    frame["label"] = pd.Series(np.array(found.names, dtype=object)[labelled], dtype="str")
    if as_shares:
        frame[SHARE] = shares[rows, labelled]
    raw = replace(raw, frame=frame, places=raw.places[rows])
    what = "shares" + (" in percent" if as_shares and _whole(values) > 1 else "") if as_shares else "counts"
    raw = raw.with_notes(
        f"{found.shown}: {what} of {count(len(found.names), 'label')} for each item, which train as such."
    )
    if empty.any():
        raw = raw.with_notes(f"Skipped: {count(int(empty.sum()), 'row')} without any share.")
    validation.check_rows(raw)
    unused = [name for name, total in zip(found.names, amounts.sum(axis=0), strict=True) if total == 0]
    if unused and labels is None:
        labels = _in_order(found.names)
        raw = raw.with_notes(f"No item has a share of {validation.listed(unused)}, which stay labels.")
    return raw, labels


def _in_order(names: Sequence[str]) -> list[str]:
    try:
        return sorted(names, key=float)
    except ValueError:
        return list(names)


def _check_sums(raw: RawTable, amounts: np.ndarray, silent: np.ndarray) -> None:
    whole = _whole(np.where(silent[:, None], np.nan, amounts))
    sums = amounts.sum(axis=1)
    wrong = (np.abs(sums - whole) > _tolerance(whole, amounts.shape[1])) & ~silent
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"the shares sum to {sums[row]:.4g}, not to {whole:g} ({count(int(wrong.sum()), 'such row')}).",
            where=raw.where(row),
            fix="Correct the row, name other columns with --columns labels='NAME_1|NAME_2', or write counts as whole "
            "numbers.",
        )


def with_shares(raw: RawTable, *, as_written: bool) -> RawTable:
    """Shares as numbers of which each item's sum to one; a table without them stays as it is.

    Args:
        raw: rows with `item_id`, after what is to be left out.
        as_written: the column stands in the file, so that it is checked; else it was made here.

    Raises:
        DataError: a share is no number from 0 to 1, an item's do not sum to one, or annotators are named.
    """
    if SHARE not in raw.frame:
        return raw
    if "annotator_id" in raw.frame:
        raise DataError(
            "shares of labels are an item's, and this table names annotators.",
            where=raw.where(column=SHARE),
            fix="Leave one of the two columns out.",
        )
    shares = pd.to_numeric(raw.frame[SHARE], errors="coerce").to_numpy(dtype=float)
    wrong = ~((shares >= 0) & (shares <= 1 + TOLERANCE))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"a share from 0 to 1 is needed ({count(int(wrong.sum()), 'such row')}).",
            where=raw.where(row, SHARE),
            fix="Correct it, or name the column otherwise.",
        )
    items = codes_of(raw.frame["item_id"])
    sums = np.bincount(items, weights=shares)  # [I]
    off = np.abs(sums - 1) > TOLERANCE + 0.005 * np.bincount(items)
    if as_written and off.any():
        row = int(off[items].argmax())
        raise DataError(
            f"the shares of this item sum to {sums[items[row]]:.4g}, not to 1 "
            f"({count(int(off.sum()), 'such item')}).",
            where=raw.where(row, SHARE),
            fix="Correct them; each item needs a row for every label that it has a share of.",
        )
    kept = shares > 0
    frame = raw.frame.assign(**{SHARE: shares / sums[items]})
    return replace(raw, frame=frame).only(kept)
