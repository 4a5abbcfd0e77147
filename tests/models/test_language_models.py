"""Which models write: those with a trained language head, causal or encoder-decoder, and no encoders."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaModel,
    T5Config,
    T5EncoderModel,
    T5ForConditionalGeneration,
)

from dcpc.errors import ModelError
from dcpc.models import is_language_model, load_language_model
from tiny_models import save_tiny_bert

TINY = {
    "vocab_size": 21,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
T5 = {
    "vocab_size": 21,
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 16,
    "num_layers": 1,
    "num_heads": 2,
    "decoder_start_token_id": 0,
}


def saved(model, folder):
    """A model's folder, with a tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(save_tiny_bert(folder / "bert"))
    target = folder / "model"
    tokenizer.save_pretrained(target)
    model.save_pretrained(target)
    return str(target)


@pytest.mark.parametrize(
    "make",
    [
        lambda: LlamaForCausalLM(LlamaConfig(**TINY)),
        lambda: LlamaForCausalLM(LlamaConfig(**TINY, tie_word_embeddings=True)),
        lambda: T5ForConditionalGeneration(T5Config(**T5)),
    ],
)
def test_models_that_write(make, tmp_path):
    model = make()
    folder = saved(model, tmp_path)
    assert is_language_model(folder)
    loaded, _ = load_language_model(folder)
    assert type(loaded) is type(model)
    torch.testing.assert_close(dict(loaded.state_dict()), dict(model.state_dict()))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: BertForMaskedLM(BertConfig(**TINY)), True),
        (lambda: T5EncoderModel(T5Config(**T5)), True),
        (lambda: LlamaModel(LlamaConfig(**TINY)), False),  # its configuration is that of the whole model
    ],
)
def test_models_without_a_language_head_are_refused(make, told, tmp_path):
    folder = saved(make(), tmp_path)
    with pytest.raises(ModelError, match="no trained language head") as caught:
        load_language_model(folder)
    assert caught.value.where == folder
    assert is_language_model(folder) != told


def test_what_cannot_be_told_is_none(tmp_path):
    assert not is_language_model(str(tmp_path / "nowhere"))
