"""The judgements that tell something about annotators, as whole numbers, and how far apart two labels are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dcpc.data.annotations import Annotations


@dataclass(frozen=True)
class Judgements:
    """Judgements of named annotators on items that at least two of them judged; each annotator once per item.

    Sorted by item, then annotator. I' items are numbered from 0 without gaps; annotators keep their position in
    `Annotations.annotators`, so some of the A have no judgement here.

    Attributes:
        rows: position of each judgement in the annotations, int [J'].
        items, annotators, labels: codes of each judgement, int [J'].
        n_items, n_annotators, n_classes: I', A, C.
        ordinal: whether the order of labels counts.
    """

    rows: np.ndarray
    items: np.ndarray
    annotators: np.ndarray
    labels: np.ndarray
    n_items: int
    n_annotators: int
    n_classes: int
    ordinal: bool

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def sizes(self) -> np.ndarray:
        """Judgements of each item, all ≥ 2, int [I']."""
        return np.bincount(self.items, minlength=self.n_items)

    def counts(self) -> np.ndarray:
        """How often each item got each label, int [I', C]."""
        return count_pairs(self.items, self.labels, self.n_items, self.n_classes)

    def scores(self) -> np.ndarray:
        """φ of every label, [C, D], see `label_scores`."""
        return label_scores(np.bincount(self.labels, minlength=self.n_classes), ordinal=self.ordinal)


def shared_judgements(annotations: Annotations) -> Judgements:
    """What can be compared: the first judgement of every annotator on every item that somebody else judged too."""
    annotators, items = annotations.annotator_codes, annotations.item_codes
    n_annotators = len(annotations.annotators)
    named = np.flatnonzero(annotators >= 0)
    keys = items[named].astype(np.int64) * max(n_annotators, 1) + annotators[named]
    order = np.argsort(keys, kind="stable")  # stable: of several judgements the first one comes first
    keys = keys[order]
    rows = named[order[np.r_[True, keys[1:] != keys[:-1]]]] if len(keys) else named
    sizes = np.bincount(items[rows], minlength=annotations.n_items)
    rows = rows[sizes[items[rows]] >= 2]
    renumbered = np.cumsum(sizes >= 2) - 1
    return Judgements(
        rows=rows,
        items=renumbered[items[rows]] if len(rows) else rows,
        annotators=annotators[rows],
        labels=annotations.label_codes[rows],
        n_items=int((sizes >= 2).sum()),
        n_annotators=n_annotators,
        n_classes=annotations.n_classes,
        ordinal=annotations.scale == "ordinal",
    )


def label_scores(totals: np.ndarray, *, ordinal: bool) -> np.ndarray:
    """A vector φ per label, so that the squared distance of two labels is ‖φ_x − φ_y‖², float [C, D].

    These are the metric differences of Krippendorff's alpha (Krippendorff 2019, *Content Analysis*, ch. 12).
    Nominal: D = C and d(x, y) = 1[x ≠ y]. Ordinal: D = 1 and d(x, y) = (r_x − r_y)², where r is the mid-rank of
    the label, here scaled to [0, 1]; alpha does not depend on that scale.

    Args:
        totals: how often each label was used, [C].
        ordinal: whether the order of labels counts.
    """
    if not ordinal:
        return np.eye(len(totals)) / np.sqrt(2)
    mid_ranks = np.cumsum(totals) - totals / 2
    return (mid_ranks / max(totals.sum(), 1))[:, None]


def count_pairs(rows: np.ndarray, columns: np.ndarray, n_rows: int, n_columns: int) -> np.ndarray:
    """How often each (row, column) occurs, int [n_rows, n_columns]."""
    cells = rows.astype(np.int64) * n_columns + columns
    return np.bincount(cells, minlength=n_rows * n_columns).reshape(n_rows, n_columns)


def shuffled_within_items(items: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random order of the judgements that only swaps judgements of the same item, int [J].

    Giving judgement j the label of judgement order[j] is the null in which annotators are interchangeable: every
    item keeps its labels.
    """
    by_item = np.argsort(items, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(items[by_item]) != 0]) if len(items) else by_item
    sizes = np.diff(np.r_[starts, len(items)])
    shuffled = by_item.copy()
    for size in np.unique(sizes[sizes > 1]):
        cells = starts[sizes == size][:, None] + np.arange(size)  # [items of that size, size]
        shuffled[cells] = rng.permuted(by_item[cells], axis=1)
    order = np.empty(len(items), dtype=np.int64)
    order[by_item] = shuffled
    return order
