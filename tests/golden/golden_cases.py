"""The forms of the adapter whose numbers are held: carriers, with and without module, in every annotator mode."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model
from safetensors.torch import load_file
from torch import nn
from transformers import LlamaConfig, LlamaForSequenceClassification

from dcpc.models import load_base_model
from dcpc.objective import ObjectiveConfig
from dcpc.training import ItemCollator, ItemDataset, training_loss
from dcpc.tuner import DCPCConfig
from tiny_models import save_tiny_bert, sentiment_judgements

ANNOTATORS = ("ann", "bob", "eve")
STEPS = 3
PREFIX: dict[str, Any] = {
    "num_virtual_tokens": 3,
    "num_corrected_tokens": 2,
    "carrier_dropout": 0.0,
    "readout": False,
}
BARE: dict[str, Any] = {"num_virtual_tokens": 0, "carrier_dropout": 0.0, "readout": False}


@dataclass(frozen=True)
class Case:
    """One form: fields of the adapter and of the objective, and the base model."""

    adapter: dict[str, Any]
    preset: str = "default"
    objective: dict[str, Any] = field(default_factory=dict)
    base: str = "bert"


CASES: dict[str, Case] = {
    "prefix-parallel": Case({**PREFIX, "correction": False, "merge": "parallel"}),
    "prefix-parallel-module-output": Case({**PREFIX, "correction": True, "merge": "parallel"}),
    "prefix-parallel-module-prefix": Case(
        {**PREFIX, "correction": True, "merge": "parallel", "annotator_mode": "prefix"}
    ),
    "prefix-concat-paper": Case(
        {**PREFIX, "correction": True, "merge": "concat", "gate": False, "annotator_mode": "none"}, "paper"
    ),
    "prefix-concat-gate": Case({**PREFIX, "correction": True, "merge": "concat", "gate": True}),
    "low-rank": Case({**BARE, "rank": 2, "correction": False}),
    "low-rank-module": Case({**BARE, "rank": 2, "correction": True}, "paper", {"view_pairs": True}),
    "bottleneck": Case({**BARE, "bottleneck": 3, "correction": False}),
    "bottleneck-module-prefix": Case(
        {**BARE, "bottleneck": 3, "correction": True, "annotator_mode": "prefix"}, "paper"
    ),
    "bottleneck-readout": Case({**BARE, "bottleneck": 3, "correction": False, "readout": True}),
    "all-carriers": Case(
        {**PREFIX, "rank": 2, "bottleneck": 3, "correction": True, "merge": "parallel"}, "paper"
    ),
    "llama-prefix-module": Case(
        {**PREFIX, "correction": True, "merge": "parallel", "annotator_mode": "prefix"}, "paper", base="llama"
    ),
    "llama-low-rank": Case({**BARE, "rank": 2, "correction": False}, base="llama"),
}


def numbers(case: Case, folder: Path) -> dict[str, Any]:
    """What is held of a form: losses of three steps, logits, annotators' logits, and the saved tensors' norms."""
    annotations = sentiment_judgements(8, ANNOTATORS)
    base, tokenizer = load_base_model(save_tiny_bert(folder / "bert"), ["no", "yes"])
    if case.base == "llama":
        base = _tiny_llama(len(tokenizer))
    torch.manual_seed(3)
    config = DCPCConfig(
        task_type="SEQ_CLS",
        annotators=list(ANNOTATORS),
        labels=["no", "yes"],
        annotator_dropout=0.0,
        correction_hidden=4,
        num_styles=3,
        **{"annotator_mode": "output", **case.adapter},
    )
    model = get_peft_model(base, config)
    index = {name: number for number, name in enumerate(ANNOTATORS)}
    data = ItemDataset(annotations, tokenizer, index)
    batch = ItemCollator(tokenizer)([data[i] for i in range(len(data))])
    objective = ObjectiveConfig.preset(case.preset, **case.objective)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.05)
    model.train()
    losses = [_step(model, batch, objective, optimizer, annotations.n_judgements) for _ in range(STEPS)]
    model.eval()
    tokens = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        logits = model(**tokens).logits
        asked = {} if config.annotator_mode == "none" else {"annotator_ids": torch.arange(8) % 3}
        own = model(**tokens, **asked).logits
    model.save_pretrained(folder / "adapter")
    saved = load_file(folder / "adapter" / "adapter_model.safetensors")
    norms = sorted([list(tensor.shape), round(float(tensor.norm()), 5)] for tensor in saved.values())
    return {"losses": losses, "logits": logits.tolist(), "own": own.tolist(), "saved": norms}


def _step(
    model: nn.Module,
    batch: dict[str, torch.Tensor],
    objective: ObjectiveConfig,
    optimizer: torch.optim.Optimizer,
    n_judgements: int,
) -> dict[str, float]:
    output = training_loss(model, batch, objective, n_judgements=n_judgements)
    optimizer.zero_grad()
    output.loss.backward()
    optimizer.step()
    return {name: float(term.detach()) for name, term in output.terms.items()}


def _tiny_llama(vocabulary: int) -> nn.Module:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        pad_token_id=0,
        num_labels=2,
        initializer_range=0.3,
    )
    return LlamaForSequenceClassification(config)
