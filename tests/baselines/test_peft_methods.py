"""PEFT baselines reach the right layers of several architectures, train, and survive saving."""

from __future__ import annotations

from pathlib import Path

import peft
import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    PreTrainedModel,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from dcpc.baselines.layers import attention_linears, feedforward_outputs, head_modules, key_value_linears
from dcpc.baselines.peft_methods import CONFIGS, adapter_config
from dcpc.errors import UsageError

LABELS = ["no", "perhaps", "yes"]
SMALL = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


def bert() -> PreTrainedModel:
    return BertForSequenceClassification(BertConfig(**SMALL, intermediate_size=32, num_labels=3))


def roberta() -> PreTrainedModel:
    return RobertaForSequenceClassification(RobertaConfig(**SMALL, intermediate_size=32, num_labels=3))


def distilbert() -> PreTrainedModel:
    config = DistilBertConfig(vocab_size=50, dim=16, n_layers=2, n_heads=2, hidden_dim=32, num_labels=3)
    return DistilBertForSequenceClassification(config)


def gpt2() -> PreTrainedModel:
    config = GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2, num_labels=3, pad_token_id=0)
    return GPT2ForSequenceClassification(config)


def llama() -> PreTrainedModel:
    config = LlamaConfig(**SMALL, intermediate_size=32, num_key_value_heads=1, num_labels=3, pad_token_id=0)
    return LlamaForSequenceClassification(config)


MODELS = {"bert": bert, "roberta": roberta, "distilbert": distilbert, "gpt2": gpt2, "llama": llama}
EXPECTED = {  # attention linears, key/value linears, feed-forward outputs, head
    "bert": (8, 4, 2, ["classifier"]),
    "roberta": (8, 4, 2, ["classifier"]),
    "distilbert": (8, 4, 2, ["pre_classifier", "classifier"]),
    "gpt2": (4, 2, 2, ["score"]),
    "llama": (8, 4, 2, ["score"]),
}


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    ids = torch.randint(1, 50, (4, 7), generator=torch.Generator().manual_seed(0))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": torch.tensor([0, 1, 2, 0])}


@pytest.mark.parametrize("name", MODELS)
def test_layers_are_found_by_structure(name: str) -> None:
    model = MODELS[name]()
    n_attention, n_key_value, n_feedforward, head = EXPECTED[name]
    assert len(attention_linears(model)) == n_attention
    assert len(key_value_linears(model)) == n_key_value
    assert len(feedforward_outputs(model)) == n_feedforward
    assert head_modules(model) == head


@pytest.mark.parametrize("method", CONFIGS)
@pytest.mark.parametrize("name", ["bert", "llama"])
def test_every_trainable_parameter_gets_a_gradient_and_the_base_none(
    name: str, method: str, batch: dict[str, torch.Tensor]
) -> None:
    overrides = {"total_step": 20} if method == "adalora" else {}
    base = MODELS[name]()
    model = peft.get_peft_model(base, adapter_config(method, base, LABELS, **overrides))
    model(**batch).loss.backward()
    # One factor of a low-rank product starts at zero: a gradient may be zero but must exist.
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    assert trained
    assert all(p.grad is not None for n, p in model.named_parameters() if n in trained)
    assert any(".modules_to_save." in n for n in trained)
    assert all(".base_layer." not in n for n in trained)


@pytest.mark.parametrize("method", ["lora", "p-tuning-v2"])
@pytest.mark.parametrize("name", ["bert", "llama"])
def test_a_saved_adapter_predicts_the_same(
    name: str, method: str, batch: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    base = MODELS[name]()
    pristine = MODELS[name]()
    pristine.load_state_dict(base.state_dict())
    model = peft.get_peft_model(base, adapter_config(method, base, LABELS))
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(torch.randn_like(p) * 0.1)
    model.save_pretrained(tmp_path)
    loaded = peft.PeftModel.from_pretrained(pristine, tmp_path)
    expected, found = model.eval()(**batch).logits, loaded.eval()(**batch).logits
    torch.testing.assert_close(found, expected)


def test_overrides_replace_defaults() -> None:
    config = adapter_config("lora", bert(), LABELS, r=4, lora_dropout=0.0)
    assert (config.r, config.lora_dropout) == (4, 0.0)


def test_mistakes_are_explained() -> None:
    with pytest.raises(UsageError, match='did you mean "lora"'):
        adapter_config("lore", bert(), LABELS)
    with pytest.raises(UsageError, match="3 outputs for 2 labels"):
        adapter_config("lora", bert(), ["a", "b"])
    with pytest.raises(UsageError, match="does not take"):
        adapter_config("lora", bert(), LABELS, rank=4)
    with pytest.raises(UsageError, match="total_step"):
        adapter_config("adalora", bert(), LABELS)
