"""Whether annotators who share an attribute agree with each other more than with the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api.types import is_hashable

from dcpc.data.annotations import ITEM_COLUMNS, Annotations
from dcpc.evaluation.multiplicity import holm
from dcpc.inspection.affinity import contrast, once_per_item
from dcpc.inspection.distance import judgements_of_known_annotators
from dcpc.inspection.groups import annotator_affinity

_NOT_ATTRIBUTES = {"item_id", "annotator_id", "label", "split", *ITEM_COLUMNS}
_MOST_VALUES = 20


@dataclass(frozen=True)
class ColumnTest:
    """One attribute of annotators, tested.

    Attributes:
        column: its name.
        values: annotators per value, most frequent first; values of a single annotator are left out.
        contrast: agreement inside a value less between values, in standardised units, see `Affinity`.
        p_value: permutation test that shuffles the values over annotators.
        p_holm: the same, corrected for the number of columns (Holm 1979).
    """

    column: str
    values: dict[str, int]
    contrast: float
    p_value: float
    p_holm: float


def compare_columns(annotations: Annotations, *, permutations: int = 999, seed: int = 0) -> list[ColumnTest]:
    """Test every attribute column of annotators; smallest p first, empty where there is none.

    Shuffling the attribute over annotators keeps each annotator's own habits, so a small p says that the attribute
    goes with the habits, not merely that habits exist.
    """
    data = judgements_of_known_annotators(annotations)
    columns = annotator_columns(data) if data.n_judgements else {}
    if not columns:
        return []
    affinity = annotator_affinity(once_per_item(data))
    rounds = permutations if len(affinity.first) <= 100_000 else max(199, permutations // 3)
    rng = np.random.default_rng(seed)
    tests = []
    for name, values in columns.items():
        codes, _ = pd.factorize(values)
        known = np.flatnonzero(codes >= 0)
        found = contrast(affinity, codes)
        reached = 0
        for _ in range(rounds):
            shuffled = codes.copy()
            shuffled[known] = rng.permutation(codes[known])
            reached += contrast(affinity, shuffled) >= found
        counts = {str(v): int(n) for v, n in values.value_counts().items()}
        tests.append(ColumnTest(name, counts, found, (1 + reached) / (1 + rounds), 1.0))
    tests.sort(key=lambda test: test.p_value)
    corrected = holm([test.p_value for test in tests])
    return [
        ColumnTest(t.column, t.values, t.contrast, t.p_value, float(p))
        for t, p in zip(tests, corrected, strict=True)
    ]


def annotator_columns(annotations: Annotations) -> dict[str, pd.Series]:
    """Attribute values by annotator, in the order of `annotators`; values of one annotator only become missing.

    A column is an attribute of annotators if it never changes within one annotator, and a usable one if 2 to 20 of
    its values are shared by two annotators or more.
    """
    by_annotator = annotations.table.groupby("annotator_id", sort=True)
    columns = {}
    for name in annotations.table.columns:
        if name in _NOT_ATTRIBUTES or not annotations.table[name].map(is_hashable).all():
            continue  # lists and mappings are no attribute that annotators could share
        if (by_annotator[name].nunique(dropna=True) > 1).any():
            continue
        values = by_annotator[name].first().reindex(annotations.annotators)
        shared = values.value_counts()
        values = values.where(values.isin(shared.index[shared >= 2]))
        if 2 <= values.nunique() <= _MOST_VALUES:
            columns[str(name)] = values.astype("object").where(values.notna(), None)
    return columns
