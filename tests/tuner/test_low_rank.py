"""The low-rank carrier: LoRA where nothing corrects it, gated per input where the correction module does."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from architectures import ARCHITECTURES, Architecture, adapted, base_model, inputs, randomise
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from torch import nn

from dcpc.errors import ModelError, UsageError
from dcpc.tuner import DCPCConfig
from dcpc.tuner.low_rank import LowRankLayer

BERT = next(architecture for architecture in ARCHITECTURES if architecture.name == "BERT")
WITH_PROJECTIONS = [architecture for architecture in ARCHITECTURES if "DeBERTa" not in architecture.name]


def output(model: nn.Module, architecture: Architecture = BERT) -> torch.Tensor:
    with torch.no_grad():
        return model(**inputs(architecture)).logits


@pytest.mark.parametrize("architecture", WITH_PROJECTIONS, ids=lambda architecture: architecture.name)
def test_fresh_updates_change_nothing_and_trained_ones_do(architecture: Architecture) -> None:
    base = base_model(architecture).eval()
    before = output(base, architecture)
    config = DCPCConfig(task_type=None, rank=2, num_virtual_tokens=0)
    model = get_peft_model(base, config).eval()
    torch.testing.assert_close(output(model, architecture), before)
    layers = [module for module in model.modules() if isinstance(module, LowRankLayer)]
    with torch.no_grad():
        for layer in layers:
            layer.dcpc_up["default"].normal_()
    assert not torch.allclose(output(model, architecture), before)
    restored = model.base_model.unload()
    torch.testing.assert_close(output(restored, architecture), before)


def test_without_correction_it_equals_lora() -> None:
    config = DCPCConfig(task_type="SEQ_CLS", rank=2, num_virtual_tokens=0, correction=False, rank_scale=3.0)
    ours = get_peft_model(base_model(BERT), config).eval()
    targets = ["query", "key", "value", "attention.output.dense"]
    lora = LoraConfig(task_type="SEQ_CLS", r=2, lora_alpha=6, target_modules=targets)
    theirs = get_peft_model(base_model(BERT), lora).eval()
    theirs.base_model.model.classifier.load_state_dict(ours.base_model.model.classifier.state_dict())
    torch.manual_seed(0)
    with torch.no_grad():
        for name, module in ours.named_modules():
            if isinstance(module, LowRankLayer):
                module.dcpc_up["default"].normal_()
                other = theirs.get_submodule(name.removesuffix(".dcpc"))
                other.lora_A["default"].weight.copy_(module.dcpc_down["default"])
                other.lora_B["default"].weight.copy_(module.dcpc_up["default"])
    torch.testing.assert_close(output(ours), output(theirs))


def test_the_gate_follows_the_formula() -> None:
    layer = LowRankLayer(nn.Linear(5, 3))
    layer.add_adapter("default", DCPCConfig(rank=2, num_virtual_tokens=0, rank_scale=0.5))
    layer.set_adapter("default")
    layer.eval()
    with torch.no_grad():
        layer.dcpc_up["default"].normal_()
    states, p = torch.randn(4, 6, 5), torch.randn(4, 4).softmax(-1)
    a, b, m = (layer.get_parameter(f"dcpc_{part}.default") for part in ("down", "up", "meta_rank"))
    for row in range(4):
        expected = 0.5 * (states[row] @ a.T * (1 + p[row] @ m)) @ b.T
        torch.testing.assert_close(layer(states, p)[row], expected)


def test_every_tensor_learns_and_padding_changes_nothing() -> None:
    model = adapted(BERT, rank=2, num_virtual_tokens=0)
    model(**inputs(BERT)).logits.square().sum().backward()
    missing = [
        n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    assert not missing
    model.eval()
    batch = inputs(BERT)
    padded = {name: nn.functional.pad(value, (0, 3)) for name, value in batch.items()}
    with torch.no_grad():
        torch.testing.assert_close(model(**padded).logits, model(**batch).logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("low_cpu_mem_usage", [True, False])
def test_saved_and_loaded(tmp_path: Path, low_cpu_mem_usage: bool) -> None:
    model = adapted(BERT, rank=2, num_virtual_tokens=0, rank_scale=0.7).eval()
    model.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "adapter_model.safetensors")
    assert "base_model.model.bert.encoder.layer.0.attention.self.query.dcpc.dcpc_down" in saved
    assert not any("dcpc_key" in name for name in saved)
    base = base_model(BERT)
    loaded = PeftModel.from_pretrained(base, str(tmp_path), low_cpu_mem_usage=low_cpu_mem_usage).eval()
    torch.testing.assert_close(output(loaded), output(model))


def test_a_copy_is_independent() -> None:
    model = adapted(BERT, rank=2, num_virtual_tokens=0).eval()
    before = output(model)
    copy = deepcopy(model)
    torch.testing.assert_close(output(copy), before)
    with torch.no_grad():
        for module in copy.modules():
            if isinstance(module, LowRankLayer):
                module.dcpc_up["default"].zero_()
    assert not torch.allclose(output(copy), before)
    torch.testing.assert_close(output(model), before)


@pytest.mark.filterwarnings("ignore:Adapter .* was active which is now deleted")
@pytest.mark.parametrize(("rank", "other_rank"), [(2, 0), (0, 2), (2, 3)])
def test_two_adapters_switch_and_the_other_acts_when_one_is_deleted(rank: int, other_rank: int) -> None:
    def settings(of: int) -> dict[str, int]:
        return {"rank": of, "num_virtual_tokens": 0 if of else 3}

    model = adapted(BERT, **settings(rank))
    first = output(model)
    model.add_adapter("other", DCPCConfig(task_type="SEQ_CLS", **settings(other_rank)))
    model.set_adapter("other")
    randomise(model, seed=3)
    second = output(model.eval())
    model.set_adapter("default")
    assert not torch.allclose(output(model), second)
    model.delete_adapter("default")
    assert model.active_adapters == ["other"]
    torch.testing.assert_close(output(model), second)
    assert not torch.allclose(first, second)


def test_gradients_are_the_same_under_checkpointing() -> None:
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = adapted(BERT, rank=2, rank_dropout=0.0).train()
        if checkpointing:
            model.base_model.model.gradient_checkpointing_enable()
        noise = torch.zeros(len(inputs(BERT)["input_ids"]), 4)
        torch.manual_seed(2)
        model(**inputs(BERT), noise=noise).logits.square().sum().backward()
        found.append({n: p.grad for n, p in model.named_parameters() if p.requires_grad})
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_done_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing would be adapted"):
        DCPCConfig(num_virtual_tokens=0)
    with pytest.raises(UsageError, match="what it adds depends on the input"):
        adapted(BERT, rank=2, num_virtual_tokens=0).merge_and_unload()
    deberta = next(architecture for architecture in ARCHITECTURES if "DeBERTa" in architecture.name)
    with pytest.raises(ModelError, match="rank > 0 cannot gate them"):
        get_peft_model(base_model(deberta), DCPCConfig(rank=2))
    model = get_peft_model(base_model(deberta), DCPCConfig())
    with pytest.raises(ModelError, match=r"no linear layers .* that rank=2 could update"):
        model.add_adapter("other", DCPCConfig(rank=2))
