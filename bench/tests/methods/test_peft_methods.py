"""PEFT baselines reach the right layers of several architectures, train, and survive saving."""

from __future__ import annotations

from pathlib import Path

import peft
import pytest
import torch
from carrier_configs import PEFT_METHODS, adapter_config
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

from dcpc.errors import UsageError
from dcpc.models.layers import attention_linears, head_modules
from dcpc.training.carriers import carrier_of
from dcpc_bench.methods.parts.layers import feedforward_outputs, key_value_linears

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


@pytest.mark.parametrize("method", PEFT_METHODS)
@pytest.mark.parametrize("name", ["bert", "llama"])
def test_every_trainable_parameter_gets_a_gradient_and_the_base_none(
    name: str, method: str, batch: dict[str, torch.Tensor]
) -> None:
    base = MODELS[name]()
    model = peft.get_peft_model(base, adapter_config(method, base, LABELS))
    model(**batch).loss.backward()
    # One factor of a low-rank product starts at zero: a gradient may be zero but must exist.
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    assert trained
    assert all(p.grad is not None for n, p in model.named_parameters() if n in trained)
    assert any(".modules_to_save." in n for n in trained)
    assert all(".base_layer." not in n for n in trained)


def test_prompts_train_sixteen_positions_and_the_head_only() -> None:
    head = 16 * 3 + 3
    for method, expected in (
        ("prompt-tuning", 16 * 16),
        ("p-tuning-v2", 16 * 2 * 2 * 16),
    ):  # m·H, m·(key, value)·L·H
        base = bert()
        model = peft.get_peft_model(base, adapter_config(method, base, LABELS))
        assert sum(p.numel() for p in model.parameters() if p.requires_grad) == expected + head, method


def test_ia3_scales_keys_and_values_after_and_feed_forward_layers_before_their_projection() -> None:
    base = bert()
    model = peft.get_peft_model(base, adapter_config("ia3", base, LABELS))
    scaled = {n: m for n, m in model.named_modules() if hasattr(m, "ia3_l") and hasattr(m, "is_feedforward")}
    assert len(scaled) == 6  # keys, values, feed-forward of two layers
    for name, layer in scaled.items():
        is_feedforward = ".attention." not in name
        width = layer.base_layer.in_features if is_feedforward else layer.base_layer.out_features
        assert layer.ia3_l["default"].numel() == width, name
        scale, x = torch.rand(width) + 0.5, torch.randn(2, layer.base_layer.in_features)
        with torch.no_grad():
            layer.ia3_l["default"].copy_(scale.view_as(layer.ia3_l["default"]))
        expected = layer.base_layer(x * scale) if is_feedforward else layer.base_layer(x) * scale
        torch.testing.assert_close(layer(x), expected)


def test_dora_learns_direction_and_length_apart() -> None:
    base = bert()
    model = peft.get_peft_model(base, adapter_config("dora", base, LABELS, lora_dropout=0.0))
    layer = next(m for n, m in model.named_modules() if n.endswith("query"))
    with torch.no_grad():
        layer.lora_B["default"].weight.normal_()
        layer.lora_magnitude_vector["default"].weight.uniform_(0.5, 1.5)
    update = layer.scaling["default"] * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    direction = layer.base_layer.weight + update
    length = layer.lora_magnitude_vector["default"].weight[:, None]
    weight = length * direction / direction.norm(dim=1, keepdim=True)  # equation 5 of the paper
    x = torch.randn(3, 16)
    torch.testing.assert_close(layer(x), x @ weight.T + layer.base_layer.bias)


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
    with pytest.raises(UsageError, match="Did you mean lora"):
        carrier_of("lore")
    with pytest.raises(UsageError, match="3 outputs for 2 labels"):
        adapter_config("lora", bert(), ["a", "b"])
    with pytest.raises(UsageError, match="does not take"):
        adapter_config("lora", bert(), LABELS, rank=4)
