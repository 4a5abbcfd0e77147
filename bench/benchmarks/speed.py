"""What a step and a prediction cost beside PEFT's methods, in one process, alternating: medians and ratios.

    python bench/benchmarks/speed.py [--models minilm smollm2 llama-1b] [--rounds 15] [--measures MEASURE ...]
    python bench/benchmarks/speed.py --quick            # a few minutes, minilm alone

In every round a measure and what it is compared with run one after the other, so that other programs slow both; a
ratio is the median over rounds of (reference's seconds / own seconds): above 1 is faster. A step is forward, backward
and optimizer, in float32, without dropout, on texts of random tokens with one judgement each unless said otherwise.
Rivals train as many numbers as DCPC's default: LoRA's rank, the bottleneck's width and the prefix's length are chosen
so. `llama-1b` has the shape of a Llama of a billion numbers and random weights. Batches of md_agreement have the
lengths of its texts (in tokens, at most 64), drawn as the stock Trainer draws them and as `group_by_length` does.
Rows are appended as they come, and a later run goes on where an earlier one stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from arms import DEVICE, LABELS, Arms, base_of, trained, without_dropout
from rows import Rows
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.trainer_pt_utils import LengthGroupedSampler

from dcpc.models import load_base_model
from dcpc.objective import ObjectiveConfig
from dcpc.training.precision import computes_bf16
from dcpc.training.step import training_loss
from dcpc.tuner.acting import dcpc_tuner
from dcpc_bench.rig.device import device_name

Call = Callable[[], object]

WARM = 2
"""Rounds that are not counted."""
SIZES = {"minilm": (32, 40), "smollm2": (8, 32), "llama-1b": (2, 32)}
"""Texts of a batch and tokens of a text."""
MEASURES = {
    "default step / PEFT LoRA step": 1.0,
    "default step / PEFT prefix tuning step": 1.0,
    "default step / bottleneck step": 1.0,
    "paper step / PEFT prefix tuning step": 0.9,
    "default step / frozen forward and input gradient": 0.92,
    "default prediction / base model's prediction": 0.95,
    "5 labels per item / a row per label": 4.0,
    "batches of similar length / random batches": 1.3,
    "bf16 autocast / float32": 1.4,
    "torch.compile / eager": 1.0,
    "peak memory of default / of PEFT LoRA": 1.0,
}
"""What is measured, what it is compared with, and the ratio that is aimed at."""
ON_LARGE = tuple(
    name for name in MEASURES if not any(part in name for part in ("labels", "length", "compile"))
)


def batch_of(items: int, tokens: int, per_item: int = 1, vocabulary: int = 30_000) -> dict[str, Tensor]:
    """Random items with so many judgements each."""
    index = torch.arange(items).repeat_interleave(per_item)
    ids = torch.randint(1000, vocabulary, (items, tokens))
    batch = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "items": torch.arange(items),
        "labels": torch.randint(0, len(LABELS), (len(index),)),
        "annotator_ids": torch.arange(len(index)) % 12,
        "item_index": index,
    }
    return {name: value.to(DEVICE) for name, value in batch.items()}


def row_per_label(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same judgements, each with a row of its own."""
    index = batch["item_index"]
    rows = {name: batch[name][index] for name in ("input_ids", "attention_mask")}
    places = torch.arange(len(index), device=index.device)
    return {**rows, "labels": batch["labels"], "annotator_ids": batch["annotator_ids"],
            "items": places, "item_index": places}  # fmt: skip


def step_of(
    arm: tuple[nn.Module, ObjectiveConfig], bf16: bool = False
) -> Callable[[dict[str, Tensor]], None]:
    """One optimizer step on a batch."""
    model, objective = arm
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)

    def step(batch: dict[str, Tensor]) -> None:
        with torch.autocast(DEVICE, torch.bfloat16, enabled=bf16):
            loss = training_loss(model, batch, objective, n_judgements=1000).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def calls_of(measure: str, arms: Arms) -> tuple[Call, Call, dict[str, Any]] | None:
    """What is timed, what it is compared with, and facts for the row; None where this machine cannot measure it."""
    items, tokens = SIZES[arms.model]
    batch = batch_of(items, tokens)
    if measure == "5 labels per item / a row per label":
        step, five = step_of(arms.of("default")), batch_of(items, tokens, per_item=5)
        rows = row_per_label(five)
        return lambda: step(five), lambda: step(rows), {}
    if measure == "batches of similar length / random batches":
        lengths = md_agreement_lengths()
        if lengths is None:
            return None
        step = step_of(arms.of("default"))
        grouped, random = (batches(lengths, items, alike) for alike in (True, False))
        return lambda: step(next(grouped)), lambda: step(next(random)), {"texts": len(lengths)}
    if measure == "bf16 autocast / float32":
        if not (computes_bf16() or torch.cpu.get_capabilities().get("avx512_bf16", False)):
            return None
        half, full = step_of(arms.of("default"), bf16=True), step_of(arms.of("default"))
        return lambda: half(batch), lambda: full(batch), {}
    if measure == "torch.compile / eager":
        eager, (model, objective) = step_of(arms.of("default")), arms.of("default")
        model.compile()
        compiled = step_of((model, objective))
        started = time.process_time()
        compiled(batch)
        compiling = {"first_step_cpu_s": round(time.process_time() - started)}
        return lambda: compiled(batch), lambda: eager(batch), compiling
    read = {name: batch[name] for name in ("input_ids", "attention_mask")}
    if measure == "default prediction / base model's prediction":
        predictor, base = as_predictor(arms), base_of(arms.model).eval()
        return (
            torch.no_grad()(lambda: predictor(**read)),
            torch.no_grad()(lambda: base(**read)),
            {},
        )
    own, other = measure.split(" / ")
    step = step_of(ours := arms.of(own.removesuffix(" step")))
    facts: dict[str, Any] = {"trained": trained(ours[0])}
    if other.startswith("frozen"):
        return lambda: step(batch), limit(base_of(arms.model), read), facts
    theirs = arms.of(other.removesuffix(" step"))
    reference = step_of(theirs)
    return lambda: step(batch), lambda: reference(batch), {**facts, "trained_reference": trained(theirs[0])}


def as_predictor(arms: Arms) -> nn.Module:
    """DCPC's default as it is after a training: the readout acts, on the states of the adapter's own pass."""
    model, _ = arms.of("default")
    tuner = dcpc_tuner(model)
    if tuner is not None and tuner.readout is not None and tuner.active_config is not None:
        tuner.readout.enabled = True
        tuner.active_config.readout_states = "adapted"
    return model.eval()


def limit(base: PreTrainedModel, read: dict[str, Tensor]) -> Call:
    """The frozen model's forward pass, and backward to its input: what trains below the head takes that."""
    base.requires_grad_(False)
    without_dropout(base)

    def both() -> None:
        embedded = base.get_input_embeddings()(read["input_ids"]).requires_grad_()
        base(inputs_embeds=embedded, attention_mask=read["attention_mask"]).logits.sum().backward()

    return both


def md_agreement_lengths() -> list[int] | None:
    """Tokens of the texts of md_agreement; None where `DCPC_DATA` does not name the folder that holds the set."""
    from dcpc.data.readers import read_items

    file = Path(os.environ.get("DCPC_DATA", "data")) / "md_agreement" / "annotations.parquet"
    if not file.exists():
        return None
    texts = read_items(file)["text"].tolist()
    encoded = load_base_model("minilm", LABELS)[1](texts, truncation=True, max_length=64)
    return [len(ids) for ids in encoded["input_ids"]]


def batches(lengths: list[int], items: int, alike: bool) -> Iterator[dict[str, Tensor]]:
    """Batches of an epoch without end, padded to their longest."""
    draw = torch.Generator().manual_seed(0)
    while True:
        sampler = LengthGroupedSampler(items, lengths=lengths, generator=draw) if alike else None
        order = (
            list(sampler) if sampler is not None else torch.randperm(len(lengths), generator=draw).tolist()
        )
        # The first group is the longest of all: it would stand for more than its share of a few rounds.
        starts = np.random.default_rng(0).permutation(len(order) // items) * items
        for start in starts:
            own = torch.tensor([lengths[item] for item in order[start : start + items]], device=DEVICE)
            batch = batch_of(items, int(own.max()))
            batch["attention_mask"] = (torch.arange(int(own.max()), device=DEVICE) < own[:, None]).long()
            yield batch


def timed(own: Call, reference: Call, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of both, in turn."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(WARM + rounds):
        for call, taken in zip((own, reference), seconds, strict=True):
            started = time.perf_counter()
            call()
            if DEVICE == "cuda":
                torch.cuda.synchronize()
            if turn >= WARM:
                taken.append(time.perf_counter() - started)
    return seconds


def measured(measure: str, arms: Arms, rounds: int) -> dict[str, Any] | None:
    """The row of one measure; None where it cannot be measured here."""
    if measure.startswith("peak"):
        arms.of("PEFT LoRA")  # whose size is chosen here, and not where memory is measured
        own, reference = (peak_of(arms, arm) for arm in ("default", "PEFT LoRA"))
        return {"ratio": round(reference / own, 3), "mib": own, "reference_mib": reference}
    found = calls_of(measure, arms)
    if found is None:
        return None
    seconds = timed(*found[:2], rounds)
    ratios = [there / here for here, there in zip(*seconds, strict=True)]
    ratio = statistics.median(ratios)
    if "length" in measure:  # batches differ: what counts is the time of all
        ratio = sum(seconds[1]) / sum(seconds[0])
    own, reference = (statistics.median(each) for each in seconds)
    row = {"ratio": round(ratio, 3), "seconds": round(own, 4), "reference_seconds": round(reference, 4)}
    low, high = np.quantile(ratios, [0.25, 0.75]).round(3).tolist()
    return {**row, "quarter": low, "three_quarters": high, "rounds": rounds, **found[2]}


def peak_of(arms: Arms, arm: str) -> float:
    """MiB at the peak of a process that makes three steps."""
    command = [sys.executable, __file__, "--peak", arms.model, arm, json.dumps(arms.sizes)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def peak_here(arms: Arms, arm: str) -> float:
    """MiB at the peak of this process, or of the memory that it took on its GPU, after three steps."""
    step, batch = step_of(arms.of(arm)), batch_of(*SIZES[arms.model])
    for _ in range(3):
        step(batch)
    if DEVICE == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    # Not `getrusage`, which counts what the process was forked from.
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=SIZES, default=["minilm", "smollm2"])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--measures", nargs="+", choices=MEASURES, default=list(MEASURES), metavar="MEASURE")
    parser.add_argument("--quick", action="store_true", help="minilm alone, five rounds")
    parser.add_argument("--output", type=Path, default=Path("results/speed.jsonl"))
    parser.add_argument("--peak", nargs=3, metavar=("MODEL", "ARM", "SIZES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    if arguments.peak:
        model, arm, sizes = arguments.peak
        print(round(peak_here(Arms(model, json.loads(sizes)), arm)))
        return
    if arguments.quick:
        arguments.models, arguments.rounds = ["minilm"], 5
    done = Rows(arguments.output, "model", "measure", "device", "threads")
    shared = {"device": device_name(), "threads": torch.get_num_threads(), "processor": platform.machine()}
    for model in arguments.models:
        arms = Arms(model)
        for measure in MEASURES if model == "minilm" else ON_LARGE:
            if measure not in arguments.measures:
                continue
            if (model, measure, shared["device"], shared["threads"]) in done:
                continue
            row = measured(measure, arms, arguments.rounds if model == "minilm" else arguments.rounds // 2)
            if row is None:
                print(f"{'':9}  {model}: {measure}: not on this machine")
                continue
            row = {"model": model, "measure": measure, "aim": MEASURES[measure], **row, **shared}
            print(f"{row['ratio']:6.2f} x  (aim {row['aim']})  {model}: {measure}", flush=True)
            done.add(json.loads(json.dumps(row)))


if __name__ == "__main__":
    main()
