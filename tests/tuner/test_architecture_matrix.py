"""Every architecture of the matrix, in every form that it supports, with random adapter weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from architectures import (
    ARCHITECTURES,
    LABELS,
    WITH_MERGE,
    Architecture,
    adapted,
    base_model,
    inputs,
    label,
    padded,
    styles_of,
)
from peft import PeftModel, get_peft_model
from torch import Tensor

from dcpc.tuner import PassRecord
from tiny_models import with_module

matrix = pytest.mark.parametrize(("architecture", "merge"), WITH_MERGE, ids=label)


def close(one: Tensor, other: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(one, other, atol=tolerance * max(1.0, float(other.abs().max())), rtol=1e-4)


def logits(model: torch.nn.Module, batch: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        return model(**batch).logits


def targets(architecture: Architecture, batch: dict[str, Tensor]) -> Tensor:
    if architecture.kind == "encoder-decoder":
        return batch["decoder_input_ids"]
    return torch.arange(len(batch["input_ids"])) % LABELS


@matrix
def test_fresh_adapter_changes_nothing(architecture: Architecture, merge: str) -> None:
    base, batch = base_model(architecture), inputs(architecture)
    batch["attention_mask"][0, 6:] = 0
    expected = logits(base, batch)
    config = with_module(task_type=architecture.task, merge=merge)
    model = get_peft_model(base, config).eval()
    close(logits(model, batch), expected, 1e-6)


@matrix
def test_disabling_and_unloading_give_the_base_model_back(architecture: Architecture, merge: str) -> None:
    base, batch = base_model(architecture), inputs(architecture)
    expected, keys = logits(base, batch), set(base.state_dict())
    name = base.config._attn_implementation
    model = adapted(architecture, merge)
    assert (logits(model, batch) - expected).abs().max() > 1e-3
    with model.disable_adapter():
        close(logits(model, batch), expected)
    unloaded = model.unload()
    close(logits(unloaded, batch), expected, 1e-7)
    assert unloaded.config._attn_implementation == name
    assert set(unloaded.state_dict()) == keys


@matrix
def test_every_trainable_tensor_gets_a_gradient(architecture: Architecture, merge: str) -> None:
    model, batch = adapted(architecture, merge), inputs(architecture)
    model.train()
    model(**batch, labels=targets(architecture, batch)).loss.backward()
    without = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.abs().sum() > 0)
    ]
    assert without == []


@matrix
def test_saved_adapter_loads_with_equal_outputs(
    architecture: Architecture, merge: str, tmp_path: Path
) -> None:
    model, batch = adapted(architecture, merge), inputs(architecture)
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(base_model(architecture), tmp_path).eval()
    assert torch.equal(logits(loaded, batch), logits(model, batch))


@matrix
def test_gradient_checkpointing_gives_the_same_gradients(architecture: Architecture, merge: str) -> None:
    batch, gradients = inputs(architecture), []
    noises = [torch.full((3, 4), 0.5), torch.full((3, 4), -0.5)]
    for checkpointing in (False, True):
        model = adapted(architecture, merge)
        model.train()
        if checkpointing:
            model.gradient_checkpointing_enable()
        # Two passes before one backward pass: each must be recomputed with its own ε.
        outputs = []
        for noise in noises:
            record = PassRecord()
            loss = model(**batch, labels=targets(architecture, batch), noise=noise, record=record).loss
            styles = record.styles
            outputs.append(loss + styles.probabilities[..., 0].sum() + styles.corrected[0].square().mean())
        (outputs[0] + 2 * outputs[1]).backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.requires_grad})
    for name, expected in gradients[0].items():
        close(gradients[1][name], expected)


@pytest.mark.parametrize(
    ("architecture", "merge"),
    [(architecture, merge) for architecture, merge in WITH_MERGE if len(architecture.implementations) > 1],
    ids=label,
)
def test_sdpa_equals_eager(architecture: Architecture, merge: str) -> None:
    batch = inputs(architecture)
    batch["attention_mask"][0, 6:] = 0
    results = [logits(adapted(architecture, merge, name), batch) for name in architecture.implementations]
    close(results[0], results[1])


@pytest.mark.parametrize(
    ("architecture", "merge", "side"),
    [(architecture, merge, side) for architecture, merge in WITH_MERGE for side in architecture.padding],
    ids=label,
)
def test_padding_changes_nothing(architecture: Architecture, merge: str, side: str) -> None:
    model, batch = adapted(architecture, merge), inputs(architecture)
    close(logits(model, padded(batch, side)), logits(model, batch), 2e-5)


@matrix
def test_an_items_output_does_not_depend_on_its_batch(architecture: Architecture, merge: str) -> None:
    model, batch = adapted(architecture, merge), inputs(architecture)
    alone = logits(model, {name: value[1:2] for name, value in batch.items()})
    close(logits(model, batch)[1:2], alone)


@matrix
def test_what_a_pass_records_has_documented_shapes(architecture: Architecture, merge: str) -> None:
    model, batch = adapted(architecture, merge), inputs(architecture)
    layers = 4 if architecture.kind == "encoder-decoder" else architecture.attentions
    with torch.no_grad():
        styles = styles_of(model, **batch)
    for value in (styles.mean, styles.std, styles.probabilities):
        assert value.shape == (layers, 3, 4)
    close(styles.probabilities.sum(dim=-1), torch.ones(layers, 3))
    assert [tuple(prefix.shape[:2]) for prefix in styles.corrected] == [(3, 3)] * layers


def test_matrix_names_all_architectures_of_the_error_message() -> None:
    from dcpc.tuner.trial_pass import TESTED

    assert ", ".join(architecture.name for architecture in ARCHITECTURES) == TESTED
