"""The methods whose steps are timed: each attached to a base model as `dcpc train` does, at equal trained numbers."""

from __future__ import annotations

from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForSequenceClassification, PreTrainedModel

from dcpc.data import Annotations
from dcpc.models import load_base_model
from dcpc.objective import ObjectiveConfig
from dcpc.training.arguments import made_arguments
from dcpc.training.carriers import carrier_of
from dcpc.tuner.acting import dcpc_tuner
from dcpc_bench.methods.bottleneck_adapter import METHOD as BOTTLENECK
from dcpc_bench.methods.bottleneck_adapter import add_bottleneck_adapters

LABELS, SEEN = ("no", "yes"), 24
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def base_of(model: str) -> PreTrainedModel:
    """A fresh classifier, without dropout."""
    if model == "llama-1b":
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=32_000, hidden_size=2048, intermediate_size=5632, num_hidden_layers=22,
            num_attention_heads=32, num_key_value_heads=4, num_labels=len(LABELS), pad_token_id=0,
        )  # fmt: skip
        return LlamaForSequenceClassification(config).to(DEVICE)
    return load_base_model(model, LABELS)[0].to(DEVICE)


def without_dropout(model: nn.Module) -> nn.Module:
    """In training mode, nothing left out at random: that costs some methods more than others."""
    for module in model.train().modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


def judgements() -> Annotations:
    """By twelve annotators, of whom DCPC then knows the effects."""
    table = pd.DataFrame({"text": [f"text {i}" for i in range(SEEN)]})
    table["item_id"] = [str(i) for i in range(SEEN)]
    table["annotator_id"] = [f"a{i % 12}" for i in range(SEEN)]
    table["label"] = [LABELS[i % 2] for i in range(SEEN)]
    return Annotations(table, LABELS)


def attached(
    model: str, method: str, preset: str = "none", **settings: Any
) -> tuple[nn.Module, ObjectiveConfig]:
    """A model as `dcpc train` trains it: the readout off, and the annotators held, while steps are made."""
    with TemporaryDirectory() as folder:
        arguments = made_arguments({"output_dir": folder, "preset": preset, "use_cpu": DEVICE == "cpu"})
    base = base_of(model)
    if method == BOTTLENECK.name:
        add_bottleneck_adapters(base, **settings)
        found: nn.Module = base
    else:
        found = carrier_of(method).attach(base, judgements(), arguments, settings)
    found = without_dropout(found.to(DEVICE))
    tuner = dcpc_tuner(found)
    if tuner is not None and tuner.readout is not None:
        tuner.readout.enabled = False
        tuner.readout.requires_grad_(False)
        tuner.annotators.hold()
    return found, arguments.objective_config()


def trained(model: nn.Module) -> int:
    """Numbers that train."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


class Arms:
    """The methods on one base model, at equal trained numbers."""

    def __init__(self, model: str, sizes: dict[str, int] | None = None) -> None:
        self.model, self.sizes = model, sizes or {}

    def of(self, arm: str) -> tuple[nn.Module, ObjectiveConfig]:
        """The model of one arm."""
        if arm in ("default", "paper"):
            return attached(self.model, "dcpc", arm)
        method, field = {
            "PEFT LoRA": ("lora", "r"),
            "PEFT prefix tuning": ("p-tuning-v2", "num_virtual_tokens"),
            "bottleneck": (BOTTLENECK.name, "width"),
        }[arm]
        extra: dict[str, Any] = {"lora_dropout": 0.0} if method == "lora" else {}
        if arm not in self.sizes:
            budget = trained(self.of("default")[0])
            one, two = (trained(attached(self.model, method, **{**extra, field: n})[0]) for n in (1, 2))
            self.sizes[arm] = max(1, round(1 + (budget - one) / (two - one)))
        return attached(self.model, method, **{**extra, field: self.sizes[arm]})
