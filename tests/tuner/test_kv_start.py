"""A prefix that starts from a text: a fresh adapter computes what the base model does behind that text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from architectures import ARCHITECTURES, GENERATORS, Architecture, base_model, inputs, label
from peft import get_peft_model
from torch import Tensor

from dcpc.errors import ModelError, UsageError
from dcpc.tuner import DCPCConfig
from dcpc.tuner.acting import dcpc_tuner
from dcpc.tuner.paper.kv_start import initialize_kv_prefix

EXAMPLES = [5, 17, 4, 33, 8, 90, 21]
CONCAT = {"num_virtual_tokens": len(EXAMPLES), "merge": "concat"}
BY_NAME = {architecture.name: architecture for architecture in ARCHITECTURES}
REFUSED = ("GPT-2", "Jamba")
DECODERS = [a for a in GENERATORS if a.kind == "decoder" and a.name not in REFUSED]


def started(architecture: Architecture, **changes: Any) -> torch.nn.Module:
    config = DCPCConfig(task_type="CAUSAL_LM", annotator_mode="none", **{**CONCAT, **changes})
    model = get_peft_model(base_model(architecture, generator=True), config).eval()
    tuner = dcpc_tuner(model)
    assert tuner is not None
    initialize_kv_prefix(tuner, EXAMPLES)
    return model


def behind_examples(architecture: Architecture, batch: dict[str, Tensor]) -> Tensor:
    """Logits of the base model for a batch [B,n], with the examples in front of every row."""
    rows, n = batch["input_ids"].shape
    ids = torch.cat([torch.tensor(EXAMPLES).repeat(rows, 1), batch["input_ids"]], dim=1)
    with torch.no_grad():
        return base_model(architecture, generator=True)(ids).logits[:, -n:]


def wide(architecture: Architecture) -> Architecture:
    """With windows that hold examples and text: a prefix is seen from everywhere, a text only through the window."""

    def config() -> Any:
        made = architecture.config()
        if getattr(made, "sliding_window", None):
            made.sliding_window = 64
        return made

    make: Callable[..., Any] = config
    return replace(architecture, config=make)


@pytest.mark.parametrize(
    "form", [{}, {"correction": True, "num_corrected_tokens": 7}, {"gate": False}], ids=str
)
@pytest.mark.parametrize("architecture", DECODERS, ids=label)
def test_a_fresh_prefix_of_examples_is_in_context_learning(
    architecture: Architecture, form: dict[str, Any]
) -> None:
    architecture = wide(architecture)
    batch = inputs(architecture)
    expected = behind_examples(architecture, batch)
    with torch.no_grad():
        found = started(architecture, **form)(**batch).logits
        without = base_model(architecture, generator=True)(**batch).logits
    torch.testing.assert_close(found, expected, atol=1e-4 * float(expected.abs().max()), rtol=1e-3)
    assert not torch.allclose(found, without, atol=1e-2)


def test_padding_in_front_of_a_text_changes_nothing() -> None:
    architecture = BY_NAME["Llama"]
    batch, model = inputs(architecture), started(architecture)
    padded = {name: torch.nn.functional.pad(tensor, (3, 0)) for name, tensor in batch.items()}
    with torch.no_grad():
        torch.testing.assert_close(model(**padded).logits[:, 3:], model(**batch).logits, atol=1e-4, rtol=1e-3)


def test_every_tensor_trains_from_the_start() -> None:
    model = started(BY_NAME["Qwen3"], correction=True)
    model.train()
    batch = inputs(BY_NAME["Qwen3"])
    model(**batch, labels=batch["input_ids"]).loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert all(gradient is not None for gradient in gradients.values())
    assert all(
        bool(gradient.any()) for name, gradient in gradients.items() if "meta" in name or "value" in name
    )


def test_the_base_model_stays_in_the_mode_it_was_in() -> None:
    model = get_peft_model(
        base_model(BY_NAME["Llama"], generator=True),
        DCPCConfig(task_type="CAUSAL_LM", annotator_mode="none", **CONCAT),
    )
    model.train()
    tuner = dcpc_tuner(model)
    assert tuner is not None
    initialize_kv_prefix(tuner, EXAMPLES)
    assert model.training
    assert tuner.model.training


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"merge": "parallel"}, "apart from the text"),
        ({"num_virtual_tokens": 3}, "from 7 tokens"),
        ({"num_virtual_tokens": 0, "rank": 2}, "no prefix"),
    ],
)
def test_an_adapter_without_such_a_prefix_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        started(BY_NAME["Llama"], **changes)
    assert caught.value.fix


@pytest.mark.parametrize(
    ("name", "said"), [("GPT-2", "counts positions"), ("Jamba", "1 of the 2 layers"), ("T5", "no causal")]
)
def test_a_base_model_that_reads_on_from_no_prefix_is_refused(name: str, said: str) -> None:
    with pytest.raises(ModelError, match=said) as caught:
        started(BY_NAME[name])
    assert caught.value.fix


def test_an_encoder_is_refused() -> None:
    config = DCPCConfig(task_type="SEQ_CLS", **CONCAT)
    tuner = dcpc_tuner(get_peft_model(base_model(BY_NAME["BERT"]), config))
    assert tuner is not None
    with pytest.raises(ModelError, match="no causal language model"):
        initialize_kv_prefix(tuner, EXAMPLES)
