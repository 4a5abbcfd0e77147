"""BoolQ-PS: answers in registers as label words, whose probabilities add up over the registers."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from dcpc.data import Annotations
from dcpc.errors import UsageError
from dcpc.tasks import LabelWords
from dcpc_bench.source_tasks.registers import BOOLQ_REGISTERS, recover_yes_no, register_words
from tiny_language_models import tiny_language_model, tiny_tokenizer

ITEMS = pd.DataFrame({"item_id": ["a", "b"], "text": ["is the film good", "was the room bad"]})
JUDGED = Annotations(ITEMS.assign(label=["yes", "no"]), ("no", "yes"))


def logits(words: dict[str, list[str]], end_token: bool) -> torch.Tensor:
    tokenizer, model = tiny_tokenizer(), tiny_language_model()
    shape = LabelWords(words=words, end_token=end_token, template="{text}?").bound(JUDGED, tokenizer)
    fields = shape.encode(ITEMS, tokenizer, None).fields
    rows = [{name: values[row] for name, values in fields.items()} for row in range(len(ITEMS))]
    with torch.no_grad():
        return shape.forward(model, shape.collate(rows, tokenizer)).logits


def test_every_phrase_is_a_word_of_its_answer() -> None:
    words = register_words()
    assert all(recover_yes_no(phrase) == answer for answer, each in words.items() for phrase in each)
    assert sum(map(len, words.values())) == sum(
        len(phrases) for group in BOOLQ_REGISTERS.values() for phrases in group.values()
    )


def test_probabilities_add_up_over_the_registers() -> None:
    whole = logits(register_words(), end_token=True)
    parts = [
        logits({answer: list(group[answer]) for answer in ("no", "yes")}, end_token=True)
        for group in BOOLQ_REGISTERS.values()
    ]
    torch.testing.assert_close(whole, torch.stack(parts).logsumexp(dim=0), atol=1e-4, rtol=1e-5)


def test_a_phrase_that_begins_another_needs_its_end() -> None:
    with pytest.raises(UsageError, match="begins"):
        logits(register_words(), end_token=False)
