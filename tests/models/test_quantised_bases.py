"""Adapters on base models that are quantised while they are loaded."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from dcpc.adapter import TrainedAdapter, load_adapter
from dcpc.errors import ModelError, UsageError
from dcpc.fit import train_adapter
from dcpc.models import load_base_model
from dcpc.models.quantised import quantising, refuse_full_training
from tiny_language_models import tiny_tokenizer
from tiny_models import save_tiny_bert, sentiment_judgements

PACKAGES = {"bnb-4bit": "bitsandbytes", "bnb-8bit": "bitsandbytes", "torchao-int8": "torchao"}
TEXTS = ["the film was good", "a room was awful", "the meal was very great"]


def trained(base: str, how: str, **adapter: object) -> TrainedAdapter:
    if find_spec(PACKAGES[how]) is None:
        pytest.skip(f"{PACKAGES[how]} is not installed")
    return train_adapter(
        sentiment_judgements(),
        None,
        base_model=base,
        adapter=adapter,
        training={"num_train_epochs": 2, "per_device_train_batch_size": 8},
        base_options={"quantise": how},
        max_length=16,
        progress=False,
    )


@pytest.mark.parametrize("how", PACKAGES)
def test_an_adapter_on_a_quantised_base_trains_saves_and_predicts_the_same(tmp_path: Path, how: str) -> None:
    adapter = trained(save_tiny_bert(tmp_path / "base"), how)
    kinds = {type(module).__name__ for module in adapter.model.modules()}
    packed = {type(p.data).__name__ for p in adapter.model.parameters()}
    assert {"Linear8bitLt", "Linear4bit"} & kinds or packed - {"Tensor", "Parameter"}
    assert adapter.task.quantise == how
    adapter.save(tmp_path / "adapter")
    loaded = load_adapter(tmp_path / "adapter")
    expected = adapter.predict(TEXTS, "distribution")
    found = loaded.predict(TEXTS, "distribution")
    assert found["label"].tolist() == expected["label"].tolist()
    torch.testing.assert_close(
        torch.tensor(found["p_yes"]), torch.tensor(expected["p_yes"]), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("how", PACKAGES)
def test_merging_into_a_quantised_base_is_refused(tmp_path: Path, how: str) -> None:
    adapter = trained(save_tiny_bert(tmp_path / "base"), how, rank=2, bottleneck=0, readout=False)
    with pytest.raises(ModelError, match="quantised"):
        adapter.model.merge_and_unload()


@pytest.mark.parametrize("how", PACKAGES)
def test_a_quantised_base_itself_is_not_trained(tmp_path: Path, how: str) -> None:
    if find_spec(PACKAGES[how]) is None:
        pytest.skip(f"{PACKAGES[how]} is not installed")
    model, _ = load_base_model(save_tiny_bert(tmp_path / "base"), ("no", "yes"), quantise=how)
    with pytest.raises(UsageError, match="cannot be trained") as error:
        refuse_full_training(model)
    assert "--method" in str(error.value)


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcpc.models.quantised.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"bitsandbytes.*not installed") as error:
        quantising("bnb-4bit")
    assert "dcpc[quantised]" in str(error.value)


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(UsageError, match="way to quantise"):
        quantising("3bit")


SAVED = {"gptq": "gptq_torch", "awq": "torch_awq"}
"""Ways in which a base model is saved quantised, and the kernel that needs no compiler."""


def save_quantised_llama(folder: Path, method: str) -> str:
    """A language model of which every projection is random numbers of four bits, in groups of 32, packed as eight to
    an int32: along its inputs (GPTQ), or its outputs (AWQ).
    """
    tokenizer, wide = tiny_tokenizer(), 64
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=wide, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=4, intermediate_size=2 * wide, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    tensors = {}
    for name, tensor in model.state_dict().items():
        if "_proj." not in name:
            tensors[name] = tensor.half()
            continue
        (n_out, n_in), layer = tensor.shape, name.removesuffix("weight")
        shape = (n_in // 8, n_out) if method == "gptq" else (n_in, n_out // 8)
        tensors[f"{layer}qweight"] = torch.randint(-(2**31), 2**31 - 1, shape, dtype=torch.int32)
        # GPTQ's zero points are one less than what they stand for, 8.
        zeros = 0x77777777 if method == "gptq" else 0x88888888 - 2**32
        tensors[f"{layer}qzeros"] = torch.full((n_in // 32, n_out // 8), zeros, dtype=torch.int32)
        tensors[f"{layer}scales"] = torch.full((n_in // 32, n_out), 0.02, dtype=torch.float16)
        if method == "gptq":
            tensors[f"{layer}g_idx"] = torch.arange(n_in, dtype=torch.int32) // 32
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    own = {"desc_act": False, "sym": True} if method == "gptq" else {"version": "gemm", "zero_point": True}
    shared = {"quant_method": method, "bits": 4, "group_size": 32, "backend": SAVED[method]}
    (folder / "config.json").write_text(
        json.dumps(config.to_dict() | {"dtype": "float16", "quantization_config": shared | own})
    )
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("method", SAVED)
def test_an_adapter_on_a_base_that_was_saved_quantised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    if any(find_spec(package) is None for package in ("gptqmodel", "optimum")):
        pytest.skip("gptqmodel and optimum are not installed")
    monkeypatch.setenv("GPTQMODEL_CPU_WORKERS", "2")  # of itself it wants more cores than two
    base = save_quantised_llama(tmp_path / "base", method)
    adapter = train_adapter(
        sentiment_judgements(),
        None,
        base_model=base,
        task={"name": "label-words"},
        training={"num_train_epochs": 1, "per_device_train_batch_size": 8, "use_cpu": True},
        progress=False,
    )
    kinds = {type(module).__name__ for module in adapter.model.modules()}
    assert kinds & {"TorchLinear", "AwqTorchLinear"}
    adapter.save(tmp_path / "adapter")
    expected = adapter.predict(TEXTS, "distribution")
    found = load_adapter(tmp_path / "adapter").predict(TEXTS, "distribution")
    torch.testing.assert_close(
        torch.tensor(found["p_yes"]), torch.tensor(expected["p_yes"]), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("method", SAVED)
def test_a_base_saved_quantised_names_the_packages_that_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr("dcpc.models.quantised.find_spec", lambda name: None)
    base = Path(save_tiny_bert(tmp_path / "base"))
    config = json.loads((base / "config.json").read_text())
    config["quantization_config"] = {"quant_method": method, "bits": 4, "group_size": 32}
    (base / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=f"saved quantised .{method.upper()}") as caught:
        load_base_model(str(base), ("no", "yes"))
    assert str(caught.value).endswith("pip install optimum gptqmodel")
