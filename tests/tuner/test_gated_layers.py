"""What low-rank updates and bottlenecks share: they start as nothing, learn, save, copy, switch and checkpoint."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from architectures import ARCHITECTURES, Architecture, adapted, base_model, inputs, randomise, styles_of
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file
from torch import nn

from dcpc.errors import ModelError, UsageError
from dcpc.tuner import DCPCConfig
from dcpc.tuner.update_layer import UpdateLayer
from tiny_models import with_module

BERT = next(architecture for architecture in ARCHITECTURES if architecture.name == "BERT")
DEBERTA = next(architecture for architecture in ARCHITECTURES if "DeBERTa" in architecture.name)
CARRIERS: list[dict[str, Any]] = [{"rank": 2}, {"bottleneck": 3}, {"rank": 2, "bottleneck": 3}]
carriers = pytest.mark.parametrize("carrier", CARRIERS, ids=lambda carrier: "+".join(carrier))
architectures = pytest.mark.parametrize(
    "architecture", ARCHITECTURES, ids=lambda architecture: architecture.name
)


def output(model: nn.Module, architecture: Architecture = BERT) -> torch.Tensor:
    with torch.no_grad():
        return model(**inputs(architecture)).logits


def updates_of(model: nn.Module) -> list[UpdateLayer]:
    return [module for module in model.modules() if isinstance(module, UpdateLayer)]


@architectures
@carriers
def test_fresh_updates_change_nothing_and_trained_ones_do(
    architecture: Architecture, carrier: dict[str, Any]
) -> None:
    if (architecture is DEBERTA and "rank" in carrier) or (
        "bottleneck" in carrier and not architecture.bottleneck
    ):
        pytest.skip("refused, see below")
    base = base_model(architecture).eval()
    before = output(base, architecture)
    model = get_peft_model(base, with_module(task_type=None, num_virtual_tokens=0, **carrier)).eval()
    torch.testing.assert_close(output(model, architecture), before)
    with torch.no_grad():
        for layer in updates_of(model):
            layer.dcpc_up["default"].normal_()
    assert not torch.allclose(output(model, architecture), before)
    restored = model.base_model.unload()
    assert not updates_of(restored)
    torch.testing.assert_close(output(restored, architecture), before)


@carriers
def test_every_tensor_learns_and_padding_changes_nothing(carrier: dict[str, Any]) -> None:
    model = adapted(BERT, num_virtual_tokens=0, **carrier)
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


@carriers
@pytest.mark.parametrize("low_cpu_mem_usage", [True, False])
def test_saved_and_loaded(tmp_path: Path, low_cpu_mem_usage: bool, carrier: dict[str, Any]) -> None:
    model = adapted(BERT, num_virtual_tokens=0, rank_scale=0.7, **carrier).eval()
    model.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "adapter_model.safetensors")
    layer = "base_model.model.bert.encoder.layer.0"
    assert (f"{layer}.attention.self.query.dcpc_down" in saved) == ("rank" in carrier)
    assert (f"{layer}.output.dense.dcpc_down" in saved) == ("bottleneck" in carrier)
    assert not any("dcpc_key" in name for name in saved)
    base = base_model(BERT)
    loaded = PeftModel.from_pretrained(base, str(tmp_path), low_cpu_mem_usage=low_cpu_mem_usage).eval()
    torch.testing.assert_close(output(loaded), output(model))


@carriers
def test_a_copy_is_independent(carrier: dict[str, Any]) -> None:
    model = adapted(BERT, num_virtual_tokens=0, **carrier).eval()
    before = output(model)
    copy = deepcopy(model)
    torch.testing.assert_close(output(copy), before)
    with torch.no_grad():
        for layer in updates_of(copy):
            layer.dcpc_up["default"].zero_()
    assert not torch.allclose(output(copy), before)
    torch.testing.assert_close(output(model), before)


@pytest.mark.filterwarnings("ignore:Adapter .* was active which is now deleted")
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"rank": 2}, {"num_virtual_tokens": 3}),
        ({"num_virtual_tokens": 3}, {"rank": 2}),
        ({"rank": 2}, {"rank": 3}),
        ({"bottleneck": 2}, {"rank": 3}),
        ({"rank": 2}, {"bottleneck": 3}),
    ],
)
def test_two_adapters_switch_and_the_other_acts_when_one_is_deleted(
    first: dict[str, int], second: dict[str, int]
) -> None:
    model = adapted(BERT, **{"num_virtual_tokens": 0, **first})
    ours = output(model)
    model.add_adapter("other", with_module(task_type="SEQ_CLS", **{"num_virtual_tokens": 0, **second}))
    model.set_adapter("other")
    randomise(model, seed=3)
    other = output(model.eval())
    model.set_adapter("default")
    assert not torch.allclose(output(model), other)
    model.delete_adapter("default")
    assert model.active_adapters == ["other"]
    torch.testing.assert_close(output(model), other)
    assert not torch.allclose(ours, other)


@carriers
def test_gradients_are_the_same_under_checkpointing(carrier: dict[str, Any]) -> None:
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = adapted(BERT, carrier_dropout=0.0, **carrier).train()
        if checkpointing:
            model.base_model.model.gradient_checkpointing_enable()
        noise = torch.zeros(len(inputs(BERT)["input_ids"]), 4)
        torch.manual_seed(2)
        model(**inputs(BERT), noise=noise).logits.square().sum().backward()
        found.append({n: p.grad for n, p in model.named_parameters() if p.requires_grad})
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-4, atol=1e-5)


@carriers
def test_what_alignment_compares_are_the_gates(carrier: dict[str, Any]) -> None:
    model = adapted(BERT, num_virtual_tokens=0, **carrier).eval()
    widths = [tensor.shape[-1] for tensor in styles_of(model, **inputs(BERT)).corrected]
    # Query, key, value and output projection of a layer, and one feed-forward.
    assert widths == [4 * carrier.get("rank", 0) + carrier.get("bottleneck", 0)] * len(widths)


@pytest.mark.parametrize(
    "architecture",
    [
        architecture
        for architecture in ARCHITECTURES
        if architecture.kind != "encoder-decoder" and architecture.bottleneck
    ],  # no classifiers
    ids=lambda architecture: architecture.name,
)
def test_the_default_trains_on_every_classifier(architecture: Architecture) -> None:
    base = base_model(architecture)
    model = get_peft_model(base, DCPCConfig()).train()
    randomise(model, seed=1)
    model(**inputs(architecture)).logits.square().sum().backward()
    missing = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing


def test_what_cannot_be_done_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing would be adapted"):
        with_module(num_virtual_tokens=0)
    with pytest.raises(UsageError, match="correction module depends on the input"):
        adapted(BERT, rank=2, num_virtual_tokens=0).merge_and_unload()
    with pytest.raises(ModelError, match="cannot gate rank > 0"):
        get_peft_model(base_model(DEBERTA), with_module(rank=2))
    model = get_peft_model(base_model(DEBERTA), with_module())
    with pytest.raises(ModelError, match="cannot gate rank > 0"):
        model.add_adapter("other", with_module(rank=2))
    plain = get_peft_model(base_model(DEBERTA), DCPCConfig(rank=2, readout=False))  # nothing to gate
    assert torch.isfinite(output(plain, DEBERTA)).all()


@pytest.mark.parametrize(
    "architecture", [each for each in ARCHITECTURES if not each.bottleneck], ids=lambda each: each.name
)
def test_fused_experts_refuse_the_default_and_name_what_works(architecture: Architecture) -> None:
    base = base_model(architecture)
    with pytest.raises(ModelError, match=r"no feed-forward layers .*\n?.*rank=8 or num_virtual_tokens=16"):
        get_peft_model(base, DCPCConfig())
    model = get_peft_model(base, DCPCConfig(rank=8)).train()  # the same base, which was left as it was
    model(**inputs(architecture)).logits.square().sum().backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_a_model_without_feed_forward_layers_is_told() -> None:
    base = base_model(BERT)
    for layer in base.bert.encoder.layer:
        layer.output.dense = nn.Sequential(nn.LayerNorm(layer.output.dense.in_features), Narrow())
    with pytest.raises(ModelError, match=r"no feed-forward layers that bottleneck=2 could act on"):
        get_peft_model(base, with_module(bottleneck=2))


class Narrow(nn.Module):
    """What narrows to BERT's hidden width without being a linear layer."""

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return states[..., : base_model(BERT).config.hidden_size]
