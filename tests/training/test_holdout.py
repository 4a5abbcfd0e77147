"""What trains, what chooses the epoch, and what is left for the test."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from dcpc.data import Annotations
from dcpc.data.splits import TEST_NAMES, TRAIN_NAMES, VALIDATION_NAMES
from dcpc.errors import DataError
from dcpc.preference.prompts import shared_prompt_notes
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


def pairs(prompts, **columns):
    """Two votes on each pair of responses, one pair per entry."""
    rows = [
        (f"i{n}", prompt, f"x{n}", f"y{n}", who, label)
        for n, prompt in enumerate(prompts)
        for who, label in (("ann", "a"), ("bob", "b"))
    ]
    names = ["item_id", "text", "response_a", "response_b", "annotator_id", "label"]
    return Annotations(pd.DataFrame(rows, columns=names).assign(**columns), ("a", "b"), "preference")


@pytest.mark.parametrize("seed", range(5))
def test_all_pairs_on_one_prompt_are_on_one_side(seed) -> None:
    votes = pairs([f"prompt {n % 7}" for n in range(40)])
    train, validation, _ = hold_out(votes, 0.2, seed)
    assert not set(train.table["text"]) & set(validation.table["text"])
    assert train.n_items + validation.n_items == 40
    assert 5 <= validation.n_items <= 12, "one or two of seven prompts, of five or six pairs each"
    assert not shared_prompt_notes(train, validation)


def test_prompts_of_one_pair_are_held_out_as_items_are() -> None:
    alone = hold_out(pairs([f"prompt {n}" for n in range(20)]), 0.1, 3)
    items = hold_out(sentiment_judgements(20), 0.1, 3)
    places = [set(np.flatnonzero(np.isin(whole.item_ids, part.validation.item_ids)))
              for whole, part in ((pairs(["p"] * 20), alone), (sentiment_judgements(20), items))]  # fmt: skip
    assert places[0] == places[1]


def test_pairs_that_all_answer_one_prompt_are_held_out_nevertheless_and_told() -> None:
    train, validation, _ = hold_out(pairs(["the prompt"] * 20), 0.1, 0)
    assert validation.n_items == 2
    (note,) = shared_prompt_notes(train, validation)
    assert "2 held-out pairs of 2 answer prompts that training sees too" in note


def test_later_turns_of_a_conversation_go_with_its_first() -> None:
    def chat(*turns):
        return json.dumps([{"role": role, "content": content} for role, content in turns])

    rows = []
    for n in range(12):
        first = [("user", f"question {n // 4}"), ("assistant", "x")]
        turns = first if n % 2 else [*first, ("user", "And then?"), ("assistant", "y")]
        rows += [(f"i{n}", f"t{n}", "x", "y", "ann", "ab"[n % 2], chat(*turns), chat(*turns))] * 2
    names = [
        "item_id",
        "text",
        "response_a",
        "response_b",
        "annotator_id",
        "label",
        "messages_a",
        "messages_b",
    ]
    votes = Annotations(pd.DataFrame(rows, columns=names), ("a", "b"), "preference")
    held = hold_out(votes, 0.3, 0).validation
    assert held.n_items == 4
    assert held.table["messages_a"].map(lambda chat: json.loads(chat)[0]["content"]).nunique() == 1
