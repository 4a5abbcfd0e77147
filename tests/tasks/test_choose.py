"""Choosing among candidates: from columns and lists, by length-normalised likelihood, whatever their number."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

from dcpc.data.readers import read_annotations, read_item_rows
from dcpc.errors import DataError, LabelError, UsageError
from dcpc.tasks import Choose
from dcpc.tasks.continuations import NEVER
from tiny_language_models import tiny_language_model, tiny_tokenizer

PROMPTS = ["The man lost his balance, so", "The room was cold because"]
FIRST, SECOND = ["he fell", "he sang"], ["it was winter", "the film was good"]


def table(**columns):
    return pd.DataFrame({"text": PROMPTS, "annotator_id": ["a", "b"], **columns})


def saved(frame, tmp_path, name="data.jsonl"):
    path = tmp_path / name
    if name.endswith("csv"):
        frame.to_csv(path, index=False)
    elif name.endswith("parquet"):
        frame.to_parquet(path)
    else:
        frame.to_json(path, orient="records", lines=True)
    return str(path)


NUMBERED = {"choice1": [FIRST[0], SECOND[0]], "choice2": [FIRST[1], SECOND[1]]}


@pytest.mark.parametrize("name", ["data.csv", "data.jsonl", "data.parquet"])
@pytest.mark.parametrize(
    "labels", [[0, 1], [1, 2], ["A", "B"], ["choice1", "choice2"], ["he fell", "the film was good"]]
)
def test_candidates_in_columns(labels, name, tmp_path):
    found = read_annotations(saved(table(**NUMBERED, label=labels), tmp_path, name))
    assert found.labels == ("choice1", "choice2")
    assert found.table["label"].tolist() == ["choice1", "choice2"]
    assert [json.loads(each) for each in found.items["choices"]] == [FIRST, SECOND]
    assert found.n_items == 2


@pytest.mark.parametrize("name", ["data.jsonl", "data.parquet"])
def test_candidates_in_a_list(name, tmp_path):
    found = read_annotations(saved(table(choices=[FIRST, [*SECOND, "why"]], label=[1, 2]), tmp_path, name))
    assert found.labels == ("choice1", "choice2", "choice3")
    assert found.table["label"].tolist() == ["choice1", "choice2"]


def test_fewer_candidates_leave_cells_empty(tmp_path):
    frame = table(**NUMBERED, choice3=[np.nan, "why"], label=[0, 2])
    found = read_annotations(saved(frame, tmp_path, "data.csv"))
    assert [json.loads(each) for each in found.items["choices"]] == [FIRST, [*SECOND, "why"]]


def test_items_to_predict_need_no_labels(tmp_path):
    rows = read_item_rows(saved(table(**NUMBERED), tmp_path))
    assert [json.loads(each) for each in rows.items["choices"]] == [FIRST, SECOND]


@pytest.mark.parametrize(
    "labels", [[0, 2], [1, -1], ["choice1", "choice3"], ["A", "C"], ["he fell", "he slept"]]
)
def test_a_label_that_is_no_candidate_is_named(labels, tmp_path):
    with pytest.raises(LabelError, match="none of the 2 candidates") as caught:
        read_annotations(saved(table(**NUMBERED, label=labels), tmp_path))
    assert "line 2" in str(caught.value.where)


@pytest.mark.parametrize(
    ("choices", "what"), [(["one"], "1 candidate"), (["x", "x"], "the same"), (["x", " "], "empty")]
)
def test_candidates_that_cannot_be_chosen_among_are_named(choices, what, tmp_path):
    with pytest.raises(DataError, match=what):
        read_annotations(saved(table(choices=[FIRST, choices], label=[0, 0]), tmp_path))


def bound(tmp_path, **settings):
    annotations = read_annotations(saved(table(choices=[FIRST, [*SECOND, "why"]], label=[0, 2]), tmp_path))
    shape = Choose(**settings)
    shape.check(annotations)
    tokenizer = tiny_tokenizer()
    return shape.bound(annotations, tokenizer), tokenizer, annotations.items


def logits(shape, tokenizer, items, model):
    fields = shape.encode(items, tokenizer, None).fields
    batch = shape.collate([{k: v[i] for k, v in fields.items()} for i in range(len(items))], tokenizer)
    with torch.no_grad():
        return shape.forward(model, batch).logits


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_the_likelier_continuation_is_chosen(kind, normalise, tmp_path):
    shape, tokenizer, items = bound(tmp_path, normalise=normalise)
    model = tiny_language_model(kind)
    found = logits(shape, tokenizer, items, model)
    assert found.shape == (2, 3)
    assert found[0, 2] == NEVER
    for row, each in enumerate([FIRST, [*SECOND, "why"]]):
        prompt = tokenizer(PROMPTS[row])["input_ids"]
        for column, choice in enumerate(each):
            ids = tokenizer(" " + choice)["input_ids"]
            with torch.no_grad():
                if kind == "t5":
                    output = model(
                        input_ids=torch.tensor([prompt]), decoder_input_ids=torch.tensor([[0, *ids[:-1]]])
                    )
                else:
                    output = model(input_ids=torch.tensor([prompt + ids[:-1]]))
            log_p = output.logits[0, -len(ids) :].log_softmax(-1)
            score = sum(log_p[t, token].item() for t, token in enumerate(ids))
            expected = score / len(ids) if normalise else score
            assert found[row, column].item() == pytest.approx(expected, abs=1e-5, rel=1e-5)


def test_a_batch_with_fewer_candidates_has_all_labels(tmp_path):
    shape, tokenizer, items = bound(tmp_path)
    assert logits(shape, tokenizer, items[:1], tiny_language_model()).shape == (1, 3)


def test_more_candidates_than_were_trained_are_refused(tmp_path):
    shape, tokenizer, items = bound(tmp_path)
    items = items.assign(choices=json.dumps(["a", "b", "c", "d"]))
    with pytest.raises(DataError, match="an item has 4 candidates"):
        shape.encode(items, tokenizer, None)


def test_the_candidate_stands_in_the_place_of_the_placeholder(tmp_path):
    frame = table(text_pair=["Then @x fell down.", "So @x sang."], choices=[["he", "she"]] * 2, label=[0, 1])
    annotations = read_annotations(saved(frame, tmp_path))
    shape, tokenizer = Choose(placeholder="@x"), tiny_tokenizer()
    shape.check(annotations)
    fields = shape.bound(annotations, tokenizer).encode(annotations.items, tokenizer, None).fields
    assert tokenizer.decode(fields["input_ids"][0]) == f"{PROMPTS[0]}\n\nThen"
    assert tokenizer.decode(fields["continuations"][0][1]) == " she fell down."


def test_a_placeholder_that_is_missing_is_named(tmp_path):
    frame = table(text_pair=["Then @x fell.", "So it was."], choices=[["he", "she"]] * 2, label=[0, 1])
    with pytest.raises(UsageError, match="1 of 2 items have no `@x`"):
        Choose(placeholder="@x").check(read_annotations(saved(frame, tmp_path)))


def test_data_without_candidates_are_refused(tmp_path):
    annotations = read_annotations(saved(table(label=["x", "y"]), tmp_path))
    with pytest.raises(DataError, match="no candidates"):
        Choose().check(annotations)
