"""From annotations to batches: one row per item, the judgements of all items end to end."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from transformers import AutoTokenizer

from dcpc.data import Annotations
from dcpc.errors import UsageError
from dcpc.tasks import tokenize_items
from dcpc.training import ItemCollator, ItemDataset
from tiny_models import POSITIONS, judgements, save_tiny_bert

INTERLEAVED = [
    ("i2", "a bad story", "bob", "no"),
    ("i1", "the film was good", "ann", "yes"),
    ("i2", "a bad story", "ann", "yes"),
    ("i1", "the film was good", "eve", "no"),
    ("i3", "lovely", "eve", "yes"),
    ("i2", "a bad story", "eve", "no"),
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return AutoTokenizer.from_pretrained(save_tiny_bert(tmp_path_factory.mktemp("base") / "model"))


def words(tokenizer, row) -> str:
    return tokenizer.decode(row, skip_special_tokens=True)


def test_items_come_in_order_of_first_appearance_with_their_judgements_in_file_order(tokenizer):
    dataset = ItemDataset(judgements(INTERLEAVED), tokenizer, {"ann": 0, "bob": 1, "eve": 2})
    assert len(dataset) == 3
    assert [words(tokenizer, dataset[i]["input_ids"]) for i in range(3)] == [
        "a bad story",
        "the film was good",
        "lovely",
    ]
    assert [dataset[i]["labels"].tolist() for i in range(3)] == [[0, 1, 0], [1, 0], [1]]
    assert [dataset[i]["annotator_ids"].tolist() for i in range(3)] == [[1, 0, 2], [0, 2], [2]]
    assert [dataset[i]["item"] for i in range(3)] == [0, 1, 2]


def test_many_interleaved_judgements_stay_with_their_items_and_in_order(tokenizer):
    rows = [(f"i{(7 * n) % 40}", "good", f"a{n}", "yes" if n % 3 else "no") for n in range(400)]
    dataset = ItemDataset(judgements(rows), tokenizer, {f"a{n}": n for n in range(400)})
    for position, item in enumerate(dataset.annotations.item_ids):
        mine = [n for n, row in enumerate(rows) if row[0] == item]
        assert dataset[position]["annotator_ids"].tolist() == mine
        assert dataset[position]["labels"].tolist() == [int(n % 3 > 0) for n in mine]


def test_annotators_that_the_adapter_does_not_know_are_minus_one(tokenizer):
    known = ItemDataset(judgements(INTERLEAVED), tokenizer, {"eve": 5})
    assert known[0]["annotator_ids"].tolist() == [-1, -1, 5]
    assert ItemDataset(judgements(INTERLEAVED), tokenizer)[0]["annotator_ids"].tolist() == [-1, -1, -1]


def test_judgements_without_annotators_are_minus_one(tokenizer):
    anonymous = judgements([(item, text, None, label) for item, text, _, label in INTERLEAVED])
    assert ItemDataset(anonymous, tokenizer, {"ann": 0})[0]["annotator_ids"].tolist() == [-1, -1, -1]


def test_several_judgements_of_an_item_share_one_row(tokenizer):
    dataset = ItemDataset(judgements(INTERLEAVED), tokenizer, {"ann": 0, "bob": 1, "eve": 2})
    batch = ItemCollator(tokenizer)([dataset[1], dataset[2], dataset[0]])
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (3, 6)  # the longest text, no more
    assert batch["items"].tolist() == [1, 2, 0]
    assert batch["labels"].tolist() == [1, 0, 1, 0, 1, 0]
    assert batch["annotator_ids"].tolist() == [0, 2, 2, 1, 0, 2]
    assert batch["item_index"].tolist() == [0, 0, 1, 2, 2, 2]
    assert batch["attention_mask"].sum(dim=1).tolist() == [6, 3, 5]
    assert batch["labels"].dtype == batch["item_index"].dtype == torch.long


def test_a_very_long_text_is_cut(tokenizer):
    rows = [("long", "good " * 20_000, "ann", "yes"), ("short", "bad", "bob", "no")]
    dataset = ItemDataset(judgements(rows), tokenizer)
    assert len(dataset[0]["input_ids"]) == POSITIONS
    assert len(ItemDataset(judgements(rows), tokenizer, max_length=8)[0]["input_ids"]) == 8
    assert len(ItemDataset(judgements(rows), tokenizer, max_length=10_000)[0]["input_ids"]) == POSITIONS
    assert ItemCollator(tokenizer)([dataset[0], dataset[1]])["input_ids"].shape == (2, POSITIONS)


@pytest.mark.parametrize(("length", "pair"), [(2, False), (3, True)])
def test_a_length_without_room_for_text_is_refused(tokenizer, length, pair):
    items = pd.DataFrame({"text": ["good"]} | ({"text_pair": ["bad"]} if pair else {}))
    with pytest.raises(UsageError, match=f"max_length is {length}"):
        tokenize_items(items, tokenizer, length)
    tokenize_items(items, tokenizer, length + 1)


def test_a_tokenizer_without_a_limit_still_cuts(tokenizer, monkeypatch):
    monkeypatch.setattr(tokenizer, "model_max_length", int(1e30))
    items = pd.DataFrame({"text": ["good " * 2_000]})
    assert len(tokenize_items(items, tokenizer)["input_ids"][0]) == 512


def test_pairs_of_texts_are_two_segments_and_both_are_cut(tokenizer):
    items = pd.DataFrame({"text": ["the film", "good " * 99], "text_pair": ["was bad", "bad " * 99]})
    tokens = tokenize_items(items, tokenizer)
    assert tokens["token_type_ids"][0] == [0, 0, 0, 0, 1, 1, 1]
    cut = words(tokenizer, tokens["input_ids"][1])
    assert len(tokens["input_ids"][1]) == POSITIONS
    assert "good" in cut
    assert "bad" in cut


def test_preferences_are_a_prompt_and_both_responses(tokenizer):
    table = pd.DataFrame(
        {
            "item_id": ["p1", "p1"],
            "text": ["the story"] * 2,
            "response_a": ["was good"] * 2,
            "response_b": ["was bad"] * 2,
            "annotator_id": ["ann", "bob"],
            "label": ["a", "b"],
        }
    )
    dataset = ItemDataset(Annotations(table, ("a", "b"), scale="preference"), tokenizer)
    text = tokenizer.decode(dataset[0]["input_ids"])
    assert text == "[CLS] the story [SEP] was good [SEP] was bad [SEP]"
    assert dataset[0]["labels"].tolist() == [0, 1]
