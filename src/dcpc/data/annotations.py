"""The one long table that every reader returns and everything downstream starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from dcpc.data.counts import soft_labels
from dcpc.data.mapped import taken

Scale = Literal["nominal", "ordinal", "preference"]

ITEM_COLUMNS = ("text", "text_pair", "response_a", "response_b", "choices")
"""Columns that belong to the item, not to the judgement: equal in all rows of one item. `choices` is a JSON list of
the candidates to choose from (`dcpc.data.readers.choices`)."""


CHATS = ("messages_a", "messages_b")
"""Columns with the whole chats of the two sides of a pair, as lists or JSON; they belong to the item, too."""

SHARE = "label_share"
"""Column with the share of its item that a row's label has, where shares are known and not who judged."""


def item_texts(items: pd.DataFrame) -> list[str]:
    """The whole text of each item, to be embedded, compared or shown: its text columns, each on a line of its own.

    Args:
        items: one row per item, with one or more of `ITEM_COLUMNS`.
    """
    columns = [name for name in ITEM_COLUMNS if name in items]
    return ["\n".join(map(str, row)) for row in items[columns].itertuples(index=False)]


@dataclass(frozen=True)
class Annotations:
    """Judgements of items by annotators; J judgements, I items, A annotators, C classes.

    Built by the readers, which validate; this class only indexes. Nothing here is ever modified in place.

    Attributes:
        table: one row per judgement, a fresh RangeIndex. Columns `item_id`, `text`, `label` (all strings),
            where known `annotator_id` (string), `text_pair`, `response_a`, `response_b`, `split`; `label_share`
            where items have shares of labels instead of judgements, one row for each label; then any attributes of
            items or annotators, as they came.
        labels: the C labels in their order (ordinal scales: from low to high).
        scale: `nominal`, `ordinal`, or `preference` (pairwise, labels `a`, `b` and perhaps `tie`).
        range: lowest and highest value of the slider that the labels are steps of; None for other labels.
        source: the file or data set that the table was read from, for messages.
        notes: what the reader skipped or changed, one sentence each, to be shown to the user.
    """

    table: pd.DataFrame
    labels: tuple[str, ...]
    scale: Scale = "nominal"
    source: str = "annotations"
    notes: tuple[str, ...] = field(default=())
    range: tuple[float, float] | None = None

    @property
    def n_judgements(self) -> int:
        """J, the number of rows."""
        return len(self.table)

    @cached_property
    def weights(self) -> np.ndarray | None:
        """How much each row counts, float [J], where items have shares of labels, which sum to 1; else None."""
        return self.table[SHARE].to_numpy(dtype=np.float64) if SHARE in self.table else None

    @property
    def n_votes(self) -> float:
        """What all rows count for together: J, or the number of items where these have shares of labels."""
        return float(self.n_judgements if self.weights is None else self.weights.sum())

    @property
    def n_items(self) -> int:
        """I, the number of distinct items."""
        return len(self.item_ids)

    @property
    def n_classes(self) -> int:
        """C, the number of labels in the label set."""
        return len(self.labels)

    @property
    def has_annotators(self) -> bool:
        """Whether judgements say who gave them."""
        return "annotator_id" in self.table

    @cached_property
    def _items(self) -> tuple[np.ndarray, pd.Index]:
        codes, ids = pd.factorize(self.table["item_id"])
        return codes, pd.Index(ids)

    @cached_property
    def _annotators(self) -> tuple[np.ndarray, pd.Index]:
        if not self.has_annotators:
            return np.full(self.n_judgements, -1), pd.Index([], dtype=object)
        codes, ids = pd.factorize(self.table["annotator_id"], sort=True)
        return codes, pd.Index(ids)

    @property
    def item_ids(self) -> pd.Index:
        """The I item ids, in order of first appearance."""
        return self._items[1]

    @property
    def item_codes(self) -> np.ndarray:
        """For each judgement the position of its item in `item_ids`, int [J]."""
        return self._items[0]

    @property
    def annotators(self) -> pd.Index:
        """The A annotator ids, sorted; empty where judgements do not name an annotator."""
        return self._annotators[1]

    @property
    def annotator_codes(self) -> np.ndarray:
        """For each judgement the position of its annotator in `annotators`, int [J]; −1 where unknown."""
        return self._annotators[0]

    @cached_property
    def label_codes(self) -> np.ndarray:
        """For each judgement the position of its label in `labels`, int [J]."""
        return pd.Index(self.labels).get_indexer(pd.Index(self.table["label"]))

    @cached_property
    def items(self) -> pd.DataFrame:
        """One row per item, in the order of `item_ids`: `item_id` and the item's own columns."""
        columns = ["item_id", *(c for c in (*ITEM_COLUMNS, *CHATS, "split") if c in self.table)]
        first = np.unique(self.item_codes, return_index=True)[1]  # [I]: the row where each item appears first
        return taken(self.table[columns], first)

    @cached_property
    def counts(self) -> np.ndarray:
        """How often each item got each label, int [I, C]; its shares, float, where these are known."""
        cells = self.item_codes.astype(np.int64) * self.n_classes + self.label_codes
        return np.bincount(cells, self.weights, minlength=self.n_items * self.n_classes).reshape(
            self.n_items, self.n_classes
        )

    @property
    def soft_labels(self) -> np.ndarray:
        """The share of an item's judgements that each label got, float [I, C]; rows sum to 1."""
        return soft_labels(self.counts)

    def where(self, rows: np.ndarray | pd.Series) -> Annotations:
        """The judgements selected by `rows`, a boolean mask or integer positions over J; same label set."""
        return replace(self, table=taken(self.table, np.asarray(rows)))

    def of_items(self, item_ids: Sequence[str] | pd.Index) -> Annotations:
        """All judgements of the given items; same label set."""
        return self.where(self.table["item_id"].isin(item_ids).to_numpy())
