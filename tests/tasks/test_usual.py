"""Which task is taken where none is named: words of a causal model that has them, else a head."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dcpc.data import Annotations
from dcpc.tasks.usual import usual_task
from tiny_language_models import save_tiny_language_model
from tiny_models import save_tiny_bert, sentiment_judgements

WORDS, HEAD = {"name": "label-words"}, {}


def judged(**names: str) -> Annotations:
    data = sentiment_judgements(4)
    labels = tuple(names.get(label, label) for label in data.labels)
    return Annotations(data.table.assign(label=data.table["label"].replace(names)), labels)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_language_model(tmp_path_factory.mktemp("base") / "llama")


def test_a_causal_model_answers_with_the_labels(llama: str) -> None:
    task, notes = usual_task(llama, judged())
    assert task == WORDS
    assert "(no, yes)" in notes[0]
    assert "--head" in notes[0]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (judged(no="0", yes="1"), "(0, 1) are no words"),
        (judged(no="yes, but"), "`yes` begins `yes, but`"),
        (replace(judged(), range=(0.0, 1.0)), "are no words"),
    ],
    ids=["numbers", "one-begins-another", "slider"],
)
def test_labels_that_are_no_words_get_a_head_and_a_note(llama: str, data: Annotations, said: str) -> None:
    task, notes = usual_task(llama, data)
    assert task == HEAD
    assert said in notes[0]
    assert "--words" in notes[0]


def test_encoders_and_encoder_decoders_get_a_head_without_a_word(tmp_path: Path) -> None:
    t5 = save_tiny_language_model(tmp_path / "t5", "t5")
    for base in (save_tiny_bert(tmp_path / "bert"), t5, "no/such-model"):
        assert usual_task(base, judged()) == (HEAD, [])
