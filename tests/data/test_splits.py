"""One split of the data, by the name that its `split` column gives it."""

from __future__ import annotations

import pytest

from dcpc.data.splits import keep_split, rows_of_split
from dcpc.errors import UsageError
from tiny_models import sentiment_judgements


def test_the_judgements_of_one_split_are_kept() -> None:
    annotations = sentiment_judgements(4)
    split = ["test" if code < 1 else "train" for code in annotations.item_codes]
    annotations = annotations.__class__(annotations.table.assign(split=split), annotations.labels)
    assert keep_split(annotations, None) is annotations
    assert keep_split(annotations, "train").n_items == 3
    assert rows_of_split(annotations.table, "test", "data.csv").tolist() == [s == "test" for s in split]


def test_a_split_that_is_not_there_is_refused_with_those_that_are() -> None:
    annotations = sentiment_judgements(4)
    with pytest.raises(UsageError, match="no `split` column"):
        keep_split(annotations, "train")
    table = annotations.table.assign(split="train")
    with pytest.raises(UsageError, match=r"no split `dev`\.\n  Splits are: train"):
        rows_of_split(table, "dev", "data.csv")
