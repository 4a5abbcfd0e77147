"""Shares of labels in a long table: a row for each label of an item, whose `label_share` sum to one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from dcpc.data.annotations import SHARE
from dcpc.data.raw import RawTable, count
from dcpc.errors import DataError

TOLERANCE = 0.01


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
    items, _ = pd.factorize(raw.frame["item_id"])
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
