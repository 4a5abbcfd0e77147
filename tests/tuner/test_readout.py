"""The cross-layer readout: a no-op at the start, then exactly its formula, saved and loaded with the adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from architectures import ARCHITECTURES, adapted, base_model, inputs
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file
from torch import nn

from dcpc.errors import ModelError, UsageError
from dcpc.pooling import mean_of_tokens
from tiny_models import with_module

BERT = next(architecture for architecture in ARCHITECTURES if architecture.name == "BERT")


def logits(model: nn.Module, **extra: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(**inputs(BERT), **extra).logits


def filled(model: PeftModel) -> nn.Module:
    readout = model.base_model.dcpc_readout["default"]
    with torch.no_grad():
        for tensor in (readout.weight, readout.bias, readout.centre):
            tensor.normal_()
        readout.spread.uniform_(0.5, 2)
        readout.shares.copy_(torch.tensor([0.25, 0.75]))
    return readout


def test_a_fresh_readout_changes_nothing() -> None:
    base = base_model(BERT).eval()
    before = logits(base)
    model = get_peft_model(base, with_module(task_type="SEQ_CLS", readout=True)).eval()
    torch.testing.assert_close(logits(model), before)


@pytest.mark.parametrize("correction", [True, False])
def test_it_adds_its_formula_of_the_frozen_states(correction: bool) -> None:
    model = adapted(BERT, readout=True, correction=correction).eval()
    readout = model.base_model.dcpc_readout["default"]
    readout.enabled = False
    without = logits(model)
    readout.enabled = True
    filled(model)
    batch = inputs(BERT)
    with torch.no_grad(), model.disable_adapter():
        states = model(**batch, output_hidden_states=True).hidden_states
    pooled = torch.cat([mean_of_tokens(state, batch.get("attention_mask")) for state in states], dim=-1)
    expected = (pooled - readout.centre) / readout.spread @ readout.weight.T + readout.bias
    torch.testing.assert_close(logits(model), 0.25 * without + 0.75 * expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shown", [True, False])
def test_it_reads_the_adapters_own_pass_and_leaves_the_output_as_it_was_asked_for(shown: bool) -> None:
    model = adapted(BERT, readout=True, readout_states="adapted").eval()
    readout = model.base_model.dcpc_readout["default"]
    batch = inputs(BERT)
    readout.enabled = False
    with torch.no_grad():
        plain = model(**batch, output_hidden_states=True)
    readout.enabled = True
    filled(model)
    with torch.no_grad():
        output = model(**batch, output_hidden_states=shown)
    pooled = torch.cat([mean_of_tokens(s, batch.get("attention_mask")) for s in plain.hidden_states], dim=-1)
    expected = (pooled - readout.centre) / readout.spread @ readout.weight.T + readout.bias
    torch.testing.assert_close(output.logits, 0.25 * plain.logits + 0.75 * expected, rtol=1e-4, atol=1e-5)
    assert (output.hidden_states is not None) == shown


def test_states_of_a_large_model_are_sketched_and_come_back_as_they_were_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dcpc.tuner.readout.MOST_STATES", 20)
    model = adapted(BERT, readout=True).eval()
    readout = filled(model)
    assert (readout.n_states, readout.weight.shape) == (96, (3, 20))
    states = torch.randn(500, 96)
    sketched = readout.sketch(states)
    assert sketched.shape == (500, 20)
    by_hand = torch.zeros(500, 20)
    for number in range(96):
        by_hand[:, readout.slots[number]] += readout.signs[number] * states[:, number]
    torch.testing.assert_close(sketched, by_hand)
    model.save_pretrained(tmp_path)
    said = logits(model)
    with torch.no_grad():
        saved = load_file(tmp_path / "adapter_model.safetensors")
    assert {name.rpartition(".")[2] for name in saved if "dcpc_readout" in name} > {"slots", "signs"}
    torch.testing.assert_close(
        logits(PeftModel.from_pretrained(base_model(BERT), str(tmp_path)).eval()), said
    )


@pytest.mark.parametrize("enabled", [True, False])
def test_the_loss_is_that_of_the_logits(enabled: bool) -> None:
    model = adapted(BERT, readout=True).eval()
    filled(model).enabled = enabled
    labels = torch.zeros(len(inputs(BERT)["input_ids"]), dtype=torch.long)
    output = model(**inputs(BERT), labels=labels)
    torch.testing.assert_close(output.loss, nn.functional.cross_entropy(output.logits, labels))


@pytest.mark.parametrize("low_cpu_mem_usage", [True, False])
def test_saved_and_loaded_with_its_standardisation(tmp_path: Path, low_cpu_mem_usage: bool) -> None:
    model = adapted(BERT, readout=True).eval()
    filled(model)
    model.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "adapter_model.safetensors")
    names = {name.rpartition(".")[2] for name in saved if "dcpc_readout" in name}
    assert names == {"weight", "bias", "centre", "spread", "shares"}
    base = base_model(BERT)
    loaded = PeftModel.from_pretrained(base, str(tmp_path), low_cpu_mem_usage=low_cpu_mem_usage).eval()
    torch.testing.assert_close(logits(loaded), logits(model))


def test_it_can_be_trained_with_the_rest_also_under_checkpointing() -> None:
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = adapted(BERT, readout=True).train()
        filled(model)
        if checkpointing:
            model.base_model.model.gradient_checkpointing_enable()
        noise = torch.zeros(len(inputs(BERT)["input_ids"]), 4)
        torch.manual_seed(2)
        model(**inputs(BERT), noise=noise).logits.square().sum().backward()
        found.append({n: p.grad for n, p in model.named_parameters() if p.requires_grad})
    plain, checkpointed = found
    assert plain.keys() == checkpointed.keys()
    for name, gradient in plain.items():
        assert gradient is not None, name
        torch.testing.assert_close(checkpointed[name], gradient, rtol=1e-4, atol=1e-5)


def test_it_is_refused_where_there_are_no_class_logits() -> None:
    with pytest.raises(UsageError, match="readout adds to one row of class logits"):
        with_module(task_type="CAUSAL_LM", readout=True)


def test_logits_of_another_form_are_refused() -> None:
    model = get_peft_model(base_model(BERT), with_module(readout=True)).eval()
    model.base_model.model.classifier = nn.Linear(32, 7)
    with pytest.raises(UsageError, match=r"one row of 3 class logits per input.* shape \[3, 7\]"):
        model(**inputs(BERT))


def test_hidden_states_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = adapted(BERT, readout=True).eval()
    forward = model.base_model.model.forward

    def with_states(count: int | None) -> None:
        def changed(*args: Any, **kwargs: Any) -> Any:
            output = forward(*args, **kwargs)
            if output.get("hidden_states") is not None:
                output["hidden_states"] = None if count is None else output.hidden_states[:count]
            return output

        monkeypatch.setattr(model.base_model.model, "forward", changed)

    with_states(2)
    with pytest.raises(ModelError, match=r"The readout reads 96 numbers .* which gives 64"):
        logits(model)
    with_states(None)
    with pytest.raises(ModelError, match=r"The readout reads 96 numbers .* which gives 0"):
        logits(model)


def test_tuples_are_refused_with_the_way_out() -> None:
    with pytest.raises(UsageError, match="return_dict=True"):
        adapted(BERT, readout=True)(**inputs(BERT), return_dict=False)
