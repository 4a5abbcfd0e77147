"""Tokens per second of each carrier on a language model, against PEFT's LoRA and prefix tuning, in one process.

    python bench/benchmarks/language_model_speed.py [--model smollm2] [--output results/language_model_speed.jsonl]

A step is forward and backward over label words behind prompts of equal length, under bfloat16 autocast where the
machine computes in it. The carriers take turns, one step each per round, and every step is compared with LoRA's of
its own round, so that other programs on the machine count for all alike. Printed are the median step and the median
ratio to LoRA. PEFT's prefix tuning takes no positions from outside, so that every word is read behind a prompt of its
own, as `dcpc train --method p-tuning-v2 --label-words` does.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import torch
from peft import LoraConfig, PeftConfig, PrefixTuningConfig, get_peft_model
from torch import Tensor, nn

from dcpc.files import atomic_file
from dcpc.models import load_language_model
from dcpc.tasks.continuations import score_continuations
from dcpc.training.precision import computes_bf16
from dcpc.tuner import DCPCConfig
from dcpc_bench.rig.device import device_name

REFERENCE = "PEFT LoRA"
ITEMS, TOKENS = 4, 64
CONTINUATIONS = ((260, 261), (262,))
"""Tokens of two label words."""


def carriers() -> dict[str, PeftConfig]:
    """Configurations by name, with weights of comparable size."""

    def ours(**fields: Any) -> DCPCConfig:
        own = {
            "task_type": "CAUSAL_LM",
            "num_virtual_tokens": 0,
            "rank": 0,
            "bottleneck": 0,
            "readout": False,
        }
        return DCPCConfig(**{**own, "correction": False, "annotator_mode": "none", **fields})

    return {
        REFERENCE: LoraConfig(task_type="CAUSAL_LM", r=8, target_modules=["q_proj", "v_proj"]),
        "PEFT prefix tuning": PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=16),
        "low-rank": ours(rank=8, target_modules=["q_proj", "v_proj"]),
        "bottleneck": ours(bottleneck=8),
        "prefix": ours(num_virtual_tokens=16),
        "prefix, one softmax": ours(num_virtual_tokens=16, merge="concat"),
        "prefix and correction module": ours(num_virtual_tokens=16, correction=True),
    }


def batch(vocabulary: int) -> dict[str, Tensor]:
    """Prompts [B, n] of random tokens without padding, and the label words."""
    ids = torch.randint(3, vocabulary, (ITEMS, TOKENS), generator=torch.Generator().manual_seed(0))
    continuations = torch.full((ITEMS, len(CONTINUATIONS), max(map(len, CONTINUATIONS))), -1)
    for column, word in enumerate(CONTINUATIONS):
        continuations[:, column, : len(word)] = torch.tensor(word)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "continuations": continuations}


def step_seconds(model: nn.Module, tokens: Mapping[str, Tensor], bf16: bool) -> float:
    """Seconds of one forward and backward pass."""
    gpu = next(model.parameters()).is_cuda
    started = time.perf_counter()
    with torch.autocast("cuda" if gpu else "cpu", torch.bfloat16, enabled=bf16):
        scores = score_continuations(model, dict(tokens)).scores  # [B, 2]
    nn.functional.cross_entropy(scores, torch.arange(len(scores), device=scores.device) % 2).backward()
    if gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - started


def measured(name: str, rounds: int, bf16: bool) -> list[dict[str, Any]]:
    """One row per carrier."""
    seconds: dict[str, list[float]] = {carrier: [] for carrier in carriers()}
    numbers: dict[str, int] = {}
    base, _ = load_language_model(name)
    if torch.cuda.is_available():
        base.cuda()
    tokens = {key: value.to(base.device) for key, value in batch(base.config.vocab_size).items()}
    for turn in range(rounds + 1):
        for carrier, config in carriers().items():
            model = get_peft_model(base, config).train()
            numbers[carrier] = sum(p.numel() for p in model.parameters() if p.requires_grad)
            found = step_seconds(model, tokens, bf16)
            if turn:  # the first round warms up
                seconds[carrier].append(found)
            # PEFT's prefix tuning changes nothing in the base model, and has nothing to unload.
            base = model.get_base_model() if isinstance(config, PrefixTuningConfig) else model.unload()
    return [
        {
            "carrier": carrier,
            "model": name,
            "bf16": bf16,
            "step_s": round(median(each), 4),
            "tokens_per_s": round(ITEMS * TOKENS / median(each), 1),
            "against_lora": round(median(r / s for r, s in zip(seconds[REFERENCE], each, strict=True)), 3),
            "parameters": numbers[carrier],
            "rounds": rounds,
            "items": ITEMS,
            "tokens": TOKENS,
            "device": device_name(),
            "threads": torch.get_num_threads(),
        }
        for carrier, each in seconds.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path, default=Path("results/language_model_speed.jsonl"))
    settings = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    rows = measured(settings.model, settings.rounds, computes_bf16())
    with atomic_file(settings.output) as path:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
