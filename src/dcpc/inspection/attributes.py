"""Attributes of annotators, which columns say, and whether those who share one agree more."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from pandas.api.types import is_hashable

from dcpc.data.annotations import ITEM_COLUMNS, Annotations
from dcpc.evaluation.multiplicity import holm
from dcpc.inspection.groups import Pairs, contrast

MOST_TESTED_PAIRS = 300_000
"""Pairs of annotators, drawn at random, on which attributes are permuted."""

_NOT_ATTRIBUTES = {"item_id", "annotator_id", "label", "split", *ITEM_COLUMNS}
_MOST_VALUES = 20


@dataclass(frozen=True)
class ColumnTest:
    """One attribute of annotators, tested.

    Attributes:
        column: its name.
        values: annotators per value, most frequent first; values of a single annotator are left out.
        contrast: agreement inside a value less between values, in standardised units, see `Pairs.excess`.
        p_value: permutation test that shuffles the values over annotators.
        p_holm: the same, corrected for the number of columns (Holm 1979).
    """

    column: str
    values: dict[str, int]
    contrast: float
    p_value: float
    p_holm: float


def compare_columns(
    pairs: Pairs, columns: dict[str, pd.Series], *, permutations: int = 999, seed: int = 0
) -> list[ColumnTest]:
    """Whether annotators who share an attribute agree more; every column tested, smallest p first.

    Shuffling the attribute over annotators keeps each annotator's own habits, so a small p says that the attribute
    goes with the habits, not merely that habits exist.

    Args:
        pairs: see `sampled_pairs`.
        columns: see `annotator_columns`.
        permutations: random orders; a third of them with more than 100,000 pairs of annotators.
        seed: of the permutations.
    """
    if not columns or not len(pairs.first):
        return []
    rng = np.random.default_rng(seed)
    excess = pairs.excess(pairs.judgements.labels)
    rounds = permutations if len(pairs.first) <= 100_000 else max(199, permutations // 3)
    if len(pairs.first) > MOST_TESTED_PAIRS:
        drawn = np.sort(rng.choice(len(pairs.first), MOST_TESTED_PAIRS, replace=False))
        excess = excess[drawn]
        pairs = replace(
            pairs, first=pairs.first[drawn], second=pairs.second[drawn], overlap=pairs.overlap[drawn]
        )
    tests = []
    for name, values in columns.items():
        codes = pd.factorize(values.to_numpy()[pairs.kept])[0]
        known = np.flatnonzero(codes >= 0)
        found = contrast(pairs, excess, codes)
        reached = 0
        for _ in range(rounds):
            shuffled = codes.copy()
            shuffled[known] = rng.permutation(codes[known])
            reached += contrast(pairs, excess, shuffled) >= found
        counts = {str(v): int(n) for v, n in values.value_counts().items()}
        tests.append(ColumnTest(name, counts, found, (1 + reached) / (1 + rounds), 1.0))
    tests.sort(key=lambda test: test.p_value)
    corrected = holm([test.p_value for test in tests])
    return [replace(test, p_holm=float(p)) for test, p in zip(tests, corrected, strict=True)]


def annotator_columns(annotations: Annotations) -> dict[str, pd.Series]:
    """Attribute values by annotator, in the order of `annotators`; values of one annotator only become missing.

    A column is an attribute of annotators if it never changes within one annotator, and a usable one if 2 to 20 of
    its values are shared by two annotators or more.
    """
    named = np.flatnonzero(annotations.annotator_codes >= 0)
    who, n_annotators = annotations.annotator_codes[named], len(annotations.annotators)
    columns = {}
    for name in annotations.table.columns:
        if name in _NOT_ATTRIBUTES or not n_annotators:
            continue
        values = annotations.table[name].iloc[named]
        if values.dtype == object and not values.map(is_hashable).all():
            continue  # lists and mappings are no attribute that annotators could share
        codes, found = pd.factorize(values)
        there = codes >= 0
        value_of = np.full(n_annotators, -1)
        value_of[who[there]] = codes[there]
        if (value_of[who[there]] != codes[there]).any():
            continue  # it changes within an annotator
        shared = np.bincount(value_of[value_of >= 0], minlength=len(found)) >= 2
        usable = (value_of >= 0) & np.r_[shared, False][value_of]
        if 2 <= shared.sum() <= _MOST_VALUES:
            cells = np.array([*found, None], dtype=object)[np.where(usable, value_of, -1)]
            columns[str(name)] = pd.Series(cells, index=annotations.annotators, dtype=object)
    return columns
