"""A method says when judgements do not have what it needs."""

from __future__ import annotations

import pandas as pd
import pytest

from dcpc.data.annotations import Annotations
from dcpc.errors import UsageError
from dcpc_bench.methods import METHODS


def table(*rows: tuple[str, str]) -> Annotations:
    frame = pd.DataFrame(rows, columns=["item_id", "annotator_id"])
    return Annotations(frame.assign(text="t", label="a"), labels=("a", "b"))


def test_missing_annotators_and_overlap_are_refused() -> None:
    with pytest.raises(UsageError, match=r"annotator-heads .* 1 named"):
        METHODS["annotator-heads"].check(table(("i", "x"), ("j", "x")))
    with pytest.raises(UsageError, match=r"crowdlab .* two judgements"):
        METHODS["crowdlab"].check(table(("i", "x"), ("j", "y")))


def test_only_what_is_needed_is_asked_for() -> None:
    METHODS["crowdlab"].check(table(("i", "x"), ("i", "y")))
    METHODS["gce"].check(table(("i", "x")))
