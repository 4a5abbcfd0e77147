"""Several judgements of one item by one annotator: which of them count."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dcpc.data.mapped import codes_of
from dcpc.data.raw import RawTable, count
from dcpc.data.reading import Repeats
from dcpc.errors import DataError

TIMES = (
    "time", "timestamp", "_timestamp", "updated_at", "created_at", "_created_at", "submittime", "submitted_at",
    "submitted", "assignment:submitted", "accepttime", "date", "datetime", "recordeddate", "annotated_at", "end_time",
)  # fmt: skip
"""Names of columns, in small letters, that say when a judgement was made; the first that is there counts."""


def without_repeats(raw: RawTable, repeats: Repeats) -> RawTable:
    """One judgement for each item and annotator; those without an annotator id are not compared.

    Equal judgements are always kept once, except with `all`.

    Raises:
        DataError: with `refuse`, naming the item, the annotator and both rows.
    """
    if "annotator_id" not in raw.frame or repeats == "all":
        return raw
    annotators = codes_of(raw.frame["annotator_id"])
    pairs = codes_of(raw.frame["item_id"]) * (annotators.max(initial=0) + 2) + annotators  # [J]
    known = annotators >= 0
    if not (np.diff(np.sort(pairs[known])) == 0).any():
        return raw
    repeated = pd.Series(pairs).duplicated(keep="first").to_numpy() & known
    if repeats == "refuse":
        raise _refusal(raw, pairs, repeated)
    order, by = _order_in_time(raw)
    if repeats == "first":
        order = order[::-1]
    kept = np.zeros(len(pairs), dtype=bool)
    kept[order[~pd.Series(pairs[order]).duplicated(keep="last").to_numpy()]] = True
    kept |= ~known
    labels = pd.factorize(raw.frame["label"])[0]
    agrees = pd.Series(labels).groupby(pairs).transform("nunique").to_numpy() == 1
    return raw.only(kept).with_notes(_note(raw, ~kept, agrees, repeats, by))


def _order_in_time(raw: RawTable) -> tuple[np.ndarray, str]:
    """Positions of the J judgements from the earliest to the latest, and what told so."""
    for column in _time_columns(raw):
        times = _times(raw.frame[column])
        if times is not None and times.nunique() > 1:
            return np.argsort(
                times.to_numpy(), kind="stable"
            ), f'the column "{raw.renamed.get(column, column)}"'
    return np.arange(len(raw.frame)), "the order of the rows"


def _time_columns(raw: RawTable) -> list[str]:
    named = {str(raw.renamed.get(str(name), name)).strip().lower(): str(name) for name in raw.frame.columns}
    return [named[name] for name in TIMES if name in named]


def _times(values: pd.Series) -> pd.Series | None:
    """Points in time as numbers [J]; None where a value is none."""
    if values.isna().any():
        return None
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().all():
        return numbers
    try:
        return pd.to_datetime(values, format="mixed", utc=True).astype("int64")
    except (ValueError, TypeError, OverflowError):
        return None


def _note(raw: RawTable, dropped: np.ndarray, agrees: np.ndarray, repeats: Repeats, by: str) -> str:
    number, equal = int(dropped.sum()), int((dropped & agrees).sum())
    said = f"{count(number, 'repeated judgement')} of an item by the same annotator left out"
    if equal == number:
        return f"{said}: they say the same."
    same = f" ({equal:,} of them said the same)" if equal else ""
    return f"{said}, the {repeats} kept by {by}{same}. --repeats refuse, first, latest or all chooses."


def _refusal(raw: RawTable, pairs: np.ndarray, repeated: np.ndarray) -> DataError:
    row = int(repeated.argmax())
    first = int((pairs == pairs[row]).argmax())
    item, annotator = raw.frame["item_id"].iloc[row], raw.frame["annotator_id"].iloc[row]
    return DataError(
        f'annotator "{annotator}" judged item "{item}" already in {raw.unit} {raw.places[first]} '
        f"({count(int(repeated.sum()), 'such row')}).",
        where=raw.where(row),
        fix="Keep one of them: --repeats latest or --repeats first.",
    )
