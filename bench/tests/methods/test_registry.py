"""The registry says when judgements do not have what a method needs."""

from __future__ import annotations

import pandas as pd
import pytest

from dcpc.data.annotations import Annotations
from dcpc.errors import UsageError
from dcpc_bench.methods.registry import check_needs


def table(*rows: tuple[str, str]) -> Annotations:
    frame = pd.DataFrame(rows, columns=["item_id", "annotator_id"])
    return Annotations(frame.assign(text="t", label="a"), labels=("a", "b"))


def test_missing_annotators_and_overlap_are_refused() -> None:
    with pytest.raises(UsageError, match=r"annotator-heads .* 1 named"):
        check_needs("annotator-heads", table(("i", "x"), ("j", "x")), annotators=True, overlap=False)
    with pytest.raises(UsageError, match=r"crowdlab .* two judgements"):
        check_needs("crowdlab", table(("i", "x"), ("j", "y")), annotators=True, overlap=True)


def test_only_what_is_needed_is_asked_for() -> None:
    check_needs("crowdlab", table(("i", "x"), ("i", "y")), annotators=True, overlap=True)
    check_needs("gce", table(("i", "x")), annotators=False, overlap=False)
