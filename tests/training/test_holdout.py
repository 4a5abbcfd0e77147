"""What trains, what chooses the epoch, and what is left for the test."""

from __future__ import annotations

import pytest

from dcpc.data.splits import TEST_NAMES, TRAIN_NAMES, VALIDATION_NAMES
from dcpc.errors import DataError
from dcpc.training.holdout import hold_out
from tiny_models import judgements, sentiment_judgements


def with_split(names, n_items=12):
    """Items whose `split` takes turns."""
    annotations = sentiment_judgements(n_items)
    split = [names[code // 2 % len(names)] for code in annotations.item_codes]
    return annotations.__class__(annotations.table.assign(split=split), annotations.labels)


def splits_of(annotations):
    return set(annotations.table["split"])


def test_without_a_split_column_a_share_of_all_items_is_held_out() -> None:
    train, validation, left_out = hold_out(sentiment_judgements(20), 0.1, 0)
    assert (train.n_items, validation.n_items, left_out) == (18, 2, {})
    assert not set(train.item_ids) & set(validation.item_ids)


@pytest.mark.parametrize("test", [*TEST_NAMES, "TEST ", "fold 7"])
@pytest.mark.parametrize("train", [*TRAIN_NAMES, "Train"])
def test_only_training_items_train_and_are_held_out(train, test) -> None:
    division = hold_out(with_split([train, test]), 0.25, 0)
    assert splits_of(division.train) == splits_of(division.validation) == {train}
    assert division.left_out == {test.strip(): 6}


@pytest.mark.parametrize("name", VALIDATION_NAMES)
def test_named_validation_items_choose_the_epoch(name) -> None:
    division = hold_out(with_split(["train", name, "test"]), 0.25, 0)
    assert splits_of(division.train) == {"train"}
    assert splits_of(division.validation) == {name}
    assert division.left_out == {"test": 4}


@pytest.mark.parametrize("names", [["fit", "test"], ["test"], ["validation"], ["a", "b"], ["test", None]])
def test_a_split_that_names_no_training_items_is_refused_with_the_names_that_count(names) -> None:
    with pytest.raises(DataError) as caught:
        hold_out(with_split(names), 0.1, 0)
    message = str(caught.value)
    assert all(f'"{name or "(empty)"}"' in message for name in names)
    assert all(name in message for name in (*TRAIN_NAMES, *VALIDATION_NAMES, *TEST_NAMES))


@pytest.mark.parametrize("names", [[None], [""], ["  "]])
def test_an_empty_split_column_is_none(names) -> None:
    assert hold_out(with_split(names), 0.25, 0).train.n_items == 9


def test_an_item_in_several_splits_belongs_to_the_strictest() -> None:
    annotations = judgements(
        [(f"item {i}", "the film", who, "yes" if i % 2 else "no") for i in range(6) for who in ("ann", "bob")]
    )
    split = ["train"] * 12
    split[0], split[2] = "test", "dev"  # items 0 and 1, by one of their annotators each
    annotations = annotations.__class__(annotations.table.assign(split=split), annotations.labels)
    division = hold_out(annotations, 0.1, 0)
    assert set(division.train.item_ids) == {"item 2", "item 3", "item 4", "item 5"}
    assert set(division.validation.item_ids) == {"item 1"}
    assert division.left_out == {"test": 1, "train": 1}
