"""Small annotations made by hand and by simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dcpc.data.annotations import Annotations, Scale
from dcpc.inspection import Inspection, inspect_annotations


def make(
    rows: list[tuple[str, str | None, str]], labels: tuple[str, ...], scale: Scale = "nominal"
) -> Annotations:
    table = pd.DataFrame(rows, columns=["item_id", "annotator_id", "label"])
    table.insert(1, "text", "text of " + table["item_id"])
    if table["annotator_id"].isna().all():
        table = table.drop(columns="annotator_id")
    return Annotations(table, labels, scale, source="made up")


@pytest.fixture(scope="session")
def two_camps() -> Annotations:
    """200 items, 8 annotators; the last four turn the label around on the items of an even number."""
    rng = np.random.default_rng(1)
    rows = []
    for item in range(200):
        truth = rng.integers(2)
        for annotator in range(8):
            turned = annotator >= 4 and item % 2 == 0
            label = truth ^ int(turned) ^ int(rng.random() < 0.1)
            rows.append((f"i{item}", f"a{annotator}", str(label)))
    annotations = make(rows, ("0", "1"))
    annotations.table["camp"] = np.where(annotations.table["annotator_id"] < "a4", "first", "second")
    return annotations


@pytest.fixture(scope="session")
def few_of_two_camps(two_camps: Annotations) -> Annotations:
    """40 of their items, where a test asks nothing of the figures."""
    return two_camps.where(two_camps.item_codes < 40)


@pytest.fixture(scope="session")
def inspected(two_camps: Annotations) -> Inspection:
    """The two camps, inspected; not to be changed."""
    return inspect_annotations(two_camps, pairs=False)


@pytest.fixture(scope="session")
def interchangeable() -> Annotations:
    """200 items, 8 annotators who only make random slips."""
    rng = np.random.default_rng(2)
    rows = []
    for item in range(200):
        truth = rng.integers(2)
        rows += [(f"i{item}", f"a{a}", str(truth ^ int(rng.random() < 0.2))) for a in range(8)]
    annotations = make(rows, ("0", "1"))
    annotations.table["camp"] = np.where(annotations.table["annotator_id"] < "a4", "first", "second")
    return annotations


@pytest.fixture(scope="session")
def one_label_each() -> Annotations:
    return make([(f"i{n}", f"a{n % 3}", str(n % 2)) for n in range(30)], ("0", "1"))


@pytest.fixture(scope="session")
def nameless() -> Annotations:
    return make([(f"i{n // 3}", None, str((n * n) % 2)) for n in range(30)], ("0", "1"))
