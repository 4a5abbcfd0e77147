"""Label words: their likelihoods are the labels', in chats and plain prompts; bad input is refused beforehand."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from dcpc.data import Annotations
from dcpc.errors import LabelError, UsageError
from dcpc.tasks import LabelWords, task_shape
from dcpc.tasks.label_words import added_up
from tiny_language_models import (
    CHAT,
    CHAT_AGAINST_SYSTEM,
    CHAT_WITHOUT_SYSTEM,
    tiny_language_model,
    tiny_tokenizer,
)
from tiny_models import judgements

WORDS = {"no": ["no", "never so"], "yes": ["yes", "indeed"]}
ROWS = [
    ("i1", "the film was good", "ann", "yes"),
    ("i2", "a bad story", "bob", "no"),
    ("i3", "so {labels}", "ann", "no"),
]


def bound(template_of_chat=None, **settings):
    tokenizer = tiny_tokenizer(template_of_chat)
    shape = LabelWords(**{"words": WORDS, **settings})
    annotations = judgements(ROWS)
    shape.check(annotations)
    return shape.bound(annotations, tokenizer), tokenizer, annotations.items


def batch_of(shape, tokenizer, items, max_length=None):
    fields = shape.encode(items, tokenizer, max_length).fields
    return shape.collate([{k: v[i] for k, v in fields.items()} for i in range(len(items))], tokenizer)


def naive(model, text, tokenizer, words, chat):
    """Log-likelihood of each word behind a rendered prompt, from tokens of the whole."""
    scores = []
    for word in words:
        before = tokenizer(text)["input_ids"]
        ids = tokenizer(text + word)["input_ids"]
        assert ids[: len(before)] == before
        with torch.no_grad():
            log_p = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        scores.append(sum(log_p[t - 1, ids[t]].item() for t in range(len(before), len(ids))))
    return torch.tensor(scores)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("chat", [None, CHAT])
def test_probabilities_are_those_of_naive_scoring(kind, chat, side):
    template = "Is it good? {text} ({labels})"
    shape, tokenizer, items = bound(chat, template=template, system="Be strict." if chat else None)
    tokenizer.padding_side = side
    model = tiny_language_model(kind)
    with torch.no_grad():
        found = shape.forward(model, batch_of(shape, tokenizer, items)).logits.softmax(-1)
    torch.testing.assert_close(found.sum(-1), torch.ones(3))
    for row, text in enumerate(items["text"]):
        body = f"Is it good? {text} (no, yes)"
        prompt = (
            f"<|start|>system\nBe strict.<|end|>\n<|start|>user\n{body}<|end|>\n<|start|>assistant\n"
            if chat
            else body
        )
        space = "" if chat else " "
        scores = naive(model, prompt, tokenizer, [space + w for each in WORDS.values() for w in each], chat)
        each = scores.softmax(-1)
        expected = torch.stack([each[:2].sum(), each[2:].sum()])
        torch.testing.assert_close(found[row], expected, atol=1e-5, rtol=1e-5)


def test_without_words_the_labels_are_the_words():
    shape, _, _ = bound(words={})
    assert shape.words == {"no": ["no"], "yes": ["yes"]}


def test_words_stand_in_the_order_of_the_labels():
    shape, _, _ = bound(words={"yes": ["yes"], "no": ["no"]})
    assert list(shape.words) == ["no", "yes"]


def test_what_is_saved_makes_the_same_shape():
    shape, _, _ = bound()
    assert task_shape(shape.model_dump()) == shape
    assert "{text}" in shape.template


@pytest.mark.parametrize("chat", [None, CHAT])
def test_the_default_prompt_asks_for_the_labels(chat):
    shape, tokenizer, items = bound(chat)
    text = tokenizer.decode(shape.encode(items, tokenizer, None).fields["input_ids"][0])
    assert "the film was good" in text
    assert "no, yes" in text
    assert text.endswith("<|start|>assistant\n" if chat else "\nAnswer:")


def test_braces_in_a_text_are_no_slots():
    shape, tokenizer, items = bound()
    assert "so {labels}" in tokenizer.decode(shape.encode(items, tokenizer, None).fields["input_ids"][2])


def test_probabilities_of_a_labels_words_add_up():
    p = torch.tensor([[0.1, 0.2, 0.3, 0.4]])
    logits = added_up(p.log(), torch.tensor([0, 0, 1, 1]), 2)
    torch.testing.assert_close(logits.exp(), torch.tensor([[0.3, 0.7]]))


@pytest.mark.parametrize("template", [CHAT_WITHOUT_SYSTEM, CHAT_AGAINST_SYSTEM], ids=["drops", "refuses"])
def test_a_chat_template_without_a_system_turn_keeps_the_system_prompt(template):
    shape, tokenizer, items = bound(template, system="Be strict.")
    encoded = shape.encode(items, tokenizer, None)
    assert "<|start|>user\nBe strict.\n\n" in tokenizer.decode(encoded.fields["input_ids"][0])
    assert any("no system turn" in note for note in encoded.notes)


def test_a_long_passage_is_cut_and_nothing_else():
    tokenizer, question = tiny_tokenizer(CHAT), "is the film good?"
    table = pd.DataFrame(
        {"item_id": ["1", "2"], "text": ["a story of a film " * 30, "short"], "text_pair": [question] * 2,
         "label": ["no", "yes"]}
    )  # fmt: skip
    annotations = Annotations(table, ("no", "yes"))
    shape = LabelWords(system="Be strict.").bound(annotations, tokenizer)
    encoded = shape.encode(annotations.items, tokenizer, 120)
    first, second = encoded.fields["input_ids"]
    longest = max(map(len, encoded.fields["continuations"][0]))
    assert 100 < len(first) + longest <= 120
    text = tokenizer.decode(first)
    assert text.startswith("<|start|>system\nBe strict.<|end|>\n<|start|>user\na story of a film a story")
    assert f"{question}\n\nWhich label fits: no, yes?<|end|>\n<|start|>assistant\n" in text
    assert "short" in tokenizer.decode(second)
    assert any("1 of 2 prompts were too long" in note for note in encoded.notes)


def test_the_shorter_text_is_never_cut():
    tokenizer = tiny_tokenizer()
    table = pd.DataFrame(
        {"item_id": ["1"], "text": ["why?"], "text_pair": ["the room was bad and " * 40], "label": ["no"]}
    )
    annotations = Annotations(table, ("no", "yes"))
    shape = LabelWords().bound(annotations, tokenizer)
    text = tokenizer.decode(shape.encode(annotations.items, tokenizer, 80).fields["input_ids"][0])
    assert text.startswith("why?\n\nthe room was bad")
    assert text.endswith("Which label fits: no, yes?\nAnswer:")


def test_a_template_longer_than_the_limit_is_refused():
    shape, tokenizer, items = bound()
    with pytest.raises(UsageError, match=r"item i1 has .* even without its passage") as caught:
        shape.encode(items, tokenizer, 10)
    assert "max_length" in str(caught.value)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ({"no": [" "], "yes": ["yes"]}, "has no tokens"),
        ({"no": ["yes"], "yes": ["yes"]}, "are the same to the tokenizer"),
        ({"no": ["yes", "no"], "yes": ["yes indeed"]}, "`yes` begins `yes indeed`"),
    ],
)
def test_words_that_cannot_be_told_apart_are_refused(words, what):
    with pytest.raises(UsageError, match=what) as caught:
        bound(words=words)
    assert "--words" in str(caught.value)


def test_one_word_may_begin_another_where_their_ends_are_scored():
    words = {"no": ["yes no"], "yes": ["yes"]}
    shape, tokenizer, items = bound(words=words, end_token=True)
    ids = shape.encode(items, tokenizer, None).fields["continuations"][0]
    assert all(each[-1] == tokenizer.eos_token_id for each in ids)


@pytest.mark.parametrize("words", [{"no": ["no"]}, {"no": ["no"], "yes": ["yes"], "perhaps": ["perhaps"]}])
def test_words_for_other_labels_are_refused(words):
    with pytest.raises(LabelError, match="words are given for"):
        bound(words=words)


@pytest.mark.parametrize(
    ("template", "what"), [("Is it good?", r"no slot \{text\}"), ("{text} {txt}", r"a slot \{txt\}")]
)
def test_a_template_that_does_not_fit_is_refused(template, what):
    with pytest.raises(UsageError, match=what):
        bound(template=template)


def test_a_chat_without_a_chat_template_is_refused():
    with pytest.raises(UsageError, match="no chat template"):
        bound(chat=True)


@pytest.mark.parametrize("settings", [{"name": "label-word"}, {"name": "label-words", "wrods": {}}])
def test_unknown_shapes_and_settings_are_named(settings):
    with pytest.raises(UsageError, match=r"label-word|wrods"):
        task_shape(settings)
