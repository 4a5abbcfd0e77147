"""How a training step grows, in time and in memory, with each of its sizes alone.

    python bench/benchmarks/growth.py [--output results/growth.jsonl]

A random BERT of two layers of width 128, 32 texts of 32 tokens, one judgement each, 100 annotators; one size is
changed at a time. Time is the processor's (one thread), of the fastest of five steps. Memory is what the forward pass
keeps for the backward pass, and the trained numbers with their gradients and moments. Rows are appended as they come,
and a later run goes on where an earlier one stopped. Few processor minutes in all.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model
from rows import Rows
from speed import batch_of, step_of
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification

from dcpc.objective import ObjectiveConfig
from dcpc.training.step import training_loss
from dcpc.tuner import DCPCConfig

USUAL = {"batch": 32, "length": 32, "layers": 2, "prefix": 16, "labels per item": 1, "annotators": 100}
GROWN = {
    "batch": (16, 64, 256),
    "length": (32, 128, 512),
    "prefix": (16, 64, 256),
    "labels per item": (1, 8, 64),
    "layers": (2, 8, 32),
    "annotators": (100, 10_000, 1_000_000),
}
PRESETS = {"default": ("batch", "length", "labels per item", "layers", "annotators"),
           "paper": ("batch", "length", "prefix", "labels per item", "layers")}  # fmt: skip
STEPS, VOCABULARY = 5, 2000


def model_of(preset: str, size: dict[str, int]) -> tuple[nn.Module, ObjectiveConfig]:
    """A random model with the preset's adapter, without a readout, as while steps are made."""
    torch.manual_seed(0)
    base = BertForSequenceClassification(
        BertConfig(
            vocab_size=VOCABULARY, hidden_size=128, intermediate_size=512, num_attention_heads=4,
            num_hidden_layers=size["layers"], max_position_embeddings=512,
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )
    )  # fmt: skip
    known: dict[str, Any] = {"task_type": "SEQ_CLS", "labels": ["no", "yes"]}
    if preset == "paper":
        config = DCPCConfig.preset("paper", **known, num_virtual_tokens=size["prefix"])
    else:
        known["annotators"] = [str(number) for number in range(size["annotators"])]
        config = DCPCConfig(**known, readout=False)
    return get_peft_model(base, config).train(), ObjectiveConfig.preset(preset)


def kept_bytes(model: nn.Module, batch: dict[str, Tensor], objective: ObjectiveConfig) -> int:
    """Bytes that a forward pass keeps for the backward pass; the model's own numbers do not count."""
    own = {each.untyped_storage().data_ptr() for each in (*model.parameters(), *model.buffers())}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in own:
            kept[place] = tensor  # held, so that no other gets its place
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = training_loss(model, batch, objective, n_judgements=1000).loss
    del loss
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def measured(preset: str, size: dict[str, int]) -> dict[str, float]:
    """Milliseconds of a step, and MiB."""
    model, objective = model_of(preset, size)
    batch = batch_of(size["batch"], size["length"], size["labels per item"], VOCABULARY)
    if preset == "default":
        batch["annotator_ids"] = torch.arange(len(batch["labels"])) % size["annotators"]
    step = step_of((model, objective))
    seconds = []
    for _ in range(1 + STEPS):
        started = time.process_time()
        step(batch)
        seconds.append(time.process_time() - started)
    trained = sum(each.numel() for each in model.parameters() if each.requires_grad)
    return {
        "cpu_ms": round(1e3 * min(seconds[1:]), 2),
        "kept_mib": round(kept_bytes(model, batch, objective) / 2**20, 2),
        "trained_mib": round(4 * 4 * trained / 2**20, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("results/growth.jsonl"))
    output = parser.parse_args().output
    torch.set_num_threads(1)
    done = Rows(output, "preset", "size", "value")
    for preset, sizes in PRESETS.items():
        for size in sizes:
            for value in GROWN[size]:
                if (preset, size, value) in done:
                    continue
                row = {"preset": preset, "size": size, "value": value}
                row |= measured(preset, {**USUAL, size: value})
                print(row, flush=True)
                done.add(row)


if __name__ == "__main__":
    main()
