"""How far apart two labels are: the one distance that every diagnostic here shares."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from dcpc.data.annotations import Annotations


def pairable_counts(annotations: Annotations) -> np.ndarray:
    """Label counts of the items with at least two judgements, float [I', C]."""
    counts = annotations.counts.astype(float)
    return counts[counts.sum(axis=1) >= 2]


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


def judgement_scores(annotations: Annotations) -> sparse.csr_matrix:
    """φ of every judgement's label, sparse [J, D]."""
    totals = annotations.counts.sum(axis=0).astype(float)
    scores = label_scores(totals, ordinal=annotations.scale == "ordinal")
    return sparse.csr_matrix(sparse.csr_matrix(scores)[annotations.label_codes])


def judgements_of_known_annotators(annotations: Annotations) -> Annotations:
    """The judgements that name their annotator, of items that at least two of them judged."""
    known = annotations.where(annotations.annotator_codes >= 0)
    if known.n_judgements == 0:
        return known
    annotators_of_item = known.table.groupby("item_id", sort=False)["annotator_id"].nunique()
    return known.of_items(annotators_of_item.index[annotators_of_item >= 2])


def incidence(rows: np.ndarray, n_rows: int, columns: np.ndarray, n_columns: int) -> sparse.csr_matrix:
    """A sparse count matrix: how often each (row, column) occurs, [n_rows, n_columns]."""
    ones = np.ones(len(rows))
    return sparse.csr_matrix((ones, (rows, columns)), shape=(n_rows, n_columns))
