"""Adapters on base models that are quantised while they are loaded."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from dcpc.adapter import TrainedAdapter, load_adapter
from dcpc.errors import ModelError, UsageError
from dcpc.fit import train_adapter
from dcpc.models import load_base_model
from dcpc.models.quantised import quantising, refuse_full_training
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


@pytest.mark.parametrize(("method", "packages"), [("gptq", "optimum gptqmodel"), ("awq", "gptqmodel")])
def test_a_base_saved_quantised_names_the_packages_that_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, packages: str
) -> None:
    monkeypatch.setattr("dcpc.models.quantised.find_spec", lambda name: None)
    base = Path(save_tiny_bert(tmp_path / "base"))
    config = json.loads((base / "config.json").read_text())
    config["quantization_config"] = {"quant_method": method, "bits": 4, "group_size": 32}
    (base / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=f"saved quantised .{method.upper()}") as caught:
        load_base_model(str(base), ("no", "yes"))
    assert str(caught.value).endswith(f"pip install {packages}")
