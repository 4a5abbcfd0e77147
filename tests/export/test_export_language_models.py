"""A low-rank adapter with label words becomes a LoRA, or a merged causal model, of the same next tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from vllm_rules import LLAMA_LINEAR, refusals, scale

from dcpc import load_adapter, train_adapter
from dcpc.errors import UsageError
from dcpc.export import export_adapter
from tiny_language_models import save_tiny_language_model
from tiny_models import sentiment_judgements


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("language")
    train_adapter(
        sentiment_judgements(16),
        None,
        base_model=save_tiny_language_model(place / "base"),
        task={"name": "label-words"},
        adapter={"rank": 2, "readout": False},
        training={"max_steps": 3, "learning_rate": 0.02},
        progress=False,
    ).save(place / "adapter")
    return place / "adapter"


@torch.no_grad()
def test_next_tokens_are_the_adapters(adapter: Path, tmp_path: Path) -> None:
    base = adapter.parent / "base"
    for form in ("lora", "gguf-ready", "merged"):
        export_adapter(adapter, tmp_path / form, form)
    config = json.loads((tmp_path / "lora" / "adapter_config.json").read_text())
    assert config["modules_to_save"] is None, "vLLM takes no others"
    assert config["task_type"] == "CAUSAL_LM"
    assert set(config["target_modules"]) == {"q_proj", "k_proj", "v_proj", "o_proj"}
    tokens = AutoTokenizer.from_pretrained(tmp_path / "merged")(["the film was good"], return_tensors="pt")
    tokens = {name: tokens[name] for name in ("input_ids", "attention_mask")}
    expected = load_adapter(adapter).model(**tokens).logits
    plain = AutoModelForCausalLM.from_pretrained(base).eval()
    assert (plain(**tokens).logits - expected).abs().max() > 1e-3, "the adapter does something"
    found = {
        "lora": PeftModel.from_pretrained(plain, tmp_path / "lora").eval(),
        **{
            form: AutoModelForCausalLM.from_pretrained(tmp_path / form).eval()
            for form in ("gguf-ready", "merged")
        },
    }
    for form, model in found.items():
        torch.testing.assert_close(model(**tokens).logits, expected, atol=1e-4, rtol=0, msg=form)
    assert "AutoModelForCausalLM" in (tmp_path / "gguf-ready" / "README.md").read_text()


def test_a_lora_keeps_to_the_rules_of_vllms_loader(adapter: Path, tmp_path: Path) -> None:
    export_adapter(adapter, tmp_path / "lora", "lora")
    base = AutoModelForCausalLM.from_pretrained(adapter.parent / "base")
    modules = {name for name, _ in base.named_modules()}
    assert refusals(tmp_path / "lora", modules, LLAMA_LINEAR) == []
    config = json.loads((tmp_path / "lora" / "adapter_config.json").read_text())
    trained = json.loads((adapter / "adapter_config.json").read_text())
    assert scale(config) == trained["rank_scale"]
    assert refusals(tmp_path / "lora", modules, LLAMA_LINEAR, max_rank=1) == ["rank 2 over 1"]


def test_the_rules_of_vllms_loader_refuse_what_it_has_no_place_for(adapter: Path, tmp_path: Path) -> None:
    """Else the test above would say nothing."""
    for name, given, why in (
        ("head", {"modules_to_save": ["lm_head"]}, {"modules_to_save"}),
        ("dora", {"use_dora": True}, {"use_dora"}),
        ("bias", {"bias": "lora_only", "target_modules": ["q_proj"]}, {"bias"}),
        ("embedding", {"target_modules": ["embed_tokens"]}, set()),
    ):
        base = AutoModelForCausalLM.from_pretrained(adapter.parent / "base")
        modules = {each for each, _ in base.named_modules()}
        config = LoraConfig(**{"task_type": "CAUSAL_LM", "r": 2, "target_modules": ["v_proj"], **given})
        get_peft_model(base, config).save_pretrained(tmp_path / name)
        found = refusals(tmp_path / name, modules, LLAMA_LINEAR)
        assert why <= set(found), name
        assert any("no LoRA" in each for each in found) or name == "bias", found


def test_a_bias_of_labels_is_no_part_of_a_language_model(adapter: Path, tmp_path: Path) -> None:
    for form, why in (
        ("lora", "scores words"),
        ("gguf-ready", "scores words"),
        ("onnx", "is no single graph"),
    ):
        with pytest.raises(UsageError, match=why):
            export_adapter(adapter, tmp_path / form, form, annotator=None if form == "onnx" else "ann")
        assert not (tmp_path / form).exists()
