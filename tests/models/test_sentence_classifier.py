"""The mean-pooling classifier: padding changes nothing, and adapters on it save and load."""

from __future__ import annotations

import json

import pytest
import torch
from peft import AutoPeftModel, LoraConfig, PeftModel, get_peft_model

from dcpc import DCPCConfig
from dcpc.models import SentenceClassifier, load_base_model
from dcpc.models.sentence_classifier import mean_pool
from tiny_models import save_tiny_bert

TEXTS = ["the film was good", "bad", "a very lovely story and a poor meal"]
PARENT = "dcpc.models.sentence_classifier"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_bert(tmp_path_factory.mktemp("sentence") / "model", mean_pooling=True)


def adapted(folder):
    base, tokenizer = load_base_model(folder, ["low", "mid", "high"])
    config = DCPCConfig(modules_to_save=["classifier"], num_virtual_tokens=3)
    model = get_peft_model(base, config)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if "dcpc" in name or "classifier" in name:
                tensor.add_(0.3 * torch.randn_like(tensor))
    return model.eval(), tokenizer


def test_mean_pool_counts_real_tokens_only():
    states = torch.tensor([[[1.0], [3.0], [100.0]], [[1.0], [2.0], [6.0]]])
    pooled = mean_pool(states, torch.tensor([[1, 1, 0], [1, 1, 1]]))
    assert pooled.tolist() == [[2.0], [3.0]]
    assert mean_pool(states, None)[1].tolist() == [3.0]


def test_mean_pool_skips_positions_that_a_prefix_put_in_front():
    states = torch.tensor([[[1.0], [3.0], [100.0]]])
    assert mean_pool(states, torch.tensor([[1, 1, 1, 1, 0]])).tolist() == [[2.0]]


@pytest.mark.parametrize("wrap", [False, True], ids=["base", "with adapter"])
def test_an_items_logits_do_not_depend_on_padding_or_batch(folder, wrap):
    model, tokenizer = adapted(folder) if wrap else load_base_model(folder, ["low", "mid", "high"])
    model = model.eval()
    with torch.no_grad():
        together = model(**tokenizer(TEXTS, padding=True, return_tensors="pt")).logits
        longer = model(**tokenizer(TEXTS, padding="max_length", return_tensors="pt")).logits
        alone = torch.cat([model(**tokenizer([text], return_tensors="pt")).logits for text in TEXTS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(longer, alone, atol=1e-5, rtol=1e-5)


def test_labels_give_the_cross_entropy(folder):
    model, tokenizer = load_base_model(folder, ["low", "mid", "high"])
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    labels = torch.tensor([0, 2, 1])
    output = model.eval()(**batch, labels=labels)
    torch.testing.assert_close(output.loss, torch.nn.functional.cross_entropy(output.logits, labels))
    assert output.logits.shape == (3, 3)
    assert isinstance(model(**batch, return_dict=False), tuple)


def test_every_parameter_is_reached_by_a_gradient(folder):
    model, tokenizer = load_base_model(folder, ["low", "high"])
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    model(**batch, labels=torch.tensor([0, 1, 0])).loss.backward()
    assert [name for name, tensor in model.named_parameters() if tensor.grad is None] == []


def test_an_adapter_finds_its_base_class_again(folder, tmp_path):
    model, tokenizer = adapted(folder)
    model.save_pretrained(tmp_path / "adapter")
    saved = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert saved["auto_mapping"] == {"base_model_class": "SentenceClassifier", "parent_library": PARENT}
    assert {path.name for path in (tmp_path / "adapter").iterdir()} - {"README.md"} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    loaded = AutoPeftModel.from_pretrained(tmp_path / "adapter", num_labels=3, import_allowlist=["dcpc"])
    assert isinstance(loaded.get_base_model(), SentenceClassifier)
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        assert torch.equal(loaded.eval()(**batch).logits, model(**batch).logits)


@pytest.mark.parametrize("config", [DCPCConfig, LoraConfig], ids=["dcpc", "lora"])
def test_peft_treats_it_as_any_sequence_classifier(folder, tmp_path, config):
    model = get_peft_model(load_base_model(folder, ["low", "mid", "high"])[0], config(task_type="SEQ_CLS"))
    model.eval().save_pretrained(tmp_path / "adapter")
    base, tokenizer = load_base_model(folder, ["low", "mid", "high"])
    loaded = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        assert torch.equal(loaded(**batch).logits, model(**batch).logits)
