"""What a step and a prediction cost beside PEFT's methods, in one process, alternating: medians and ratios.

    python bench/benchmarks/speed.py [--rounds 15] [--output results/speed.jsonl]

On `minilm`, float32, 32 texts of 40 random tokens, one judgement each unless said otherwise. A step is forward,
backward and optimizer. In every round each measure and what it is compared with run one after the other, so that
other programs slow both; a ratio is the median over rounds of (reference's seconds / own seconds): above 1 is faster.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import torch
from torch import Tensor, nn

from dcpc.data import Annotations
from dcpc.models import load_base_model
from dcpc.objective import ObjectiveConfig
from dcpc.training.arguments import made_arguments
from dcpc.training.carriers import carrier_of
from dcpc.training.step import training_loss
from dcpc.tuner.acting import dcpc_tuner

LABELS, TEXTS, TOKENS, WARM = ("no", "yes"), 32, 40, 2
ARMS = {
    "default": ("dcpc", "default", {}),
    "paper": ("dcpc", "paper", {}),
    "PEFT LoRA": ("lora", "none", {"r": 4, "lora_alpha": 8}),
    "PEFT prefix tuning": ("p-tuning-v2", "none", {}),
}
PAIRS = (
    ("default step", "PEFT LoRA step", 1.0),
    ("default step", "PEFT prefix tuning step", 1.0),
    ("paper step", "PEFT prefix tuning step", 0.9),
    ("default step", "frozen forward and input gradient", 0.92),
    ("5 labels per item, default step", "a row per label, default step", 4.0),
    ("default prediction", "base model's prediction", 0.95),
)
"""What is measured, what it is compared with, and the ratio that is aimed at."""


def batch_of(items: int, per_item: int, vocabulary: int) -> dict[str, Tensor]:
    """Random items with so many judgements each."""
    index = torch.arange(items).repeat_interleave(per_item)
    ids = torch.randint(1000, vocabulary, (items, TOKENS))
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "items": torch.arange(items),
        "labels": torch.randint(0, len(LABELS), (len(index),)),
        "annotator_ids": torch.arange(len(index)) % 12,
        "item_index": index,
    }


def attached(name: str) -> tuple[nn.Module, ObjectiveConfig]:
    """A model as `dcpc train` trains it: the readout off, and the annotators held, while steps are made."""
    method, preset, settings = ARMS[name]
    table = pd.DataFrame({"text": [f"text {i}" for i in range(24)]})
    table["item_id"] = [str(i) for i in range(24)]
    table["annotator_id"] = [f"a{i % 12}" for i in range(24)]
    table["label"] = [LABELS[i % 2] for i in range(24)]
    base, _ = load_base_model("minilm", LABELS)
    with TemporaryDirectory() as folder:
        arguments = made_arguments({"output_dir": folder, "preset": preset, "use_cpu": True})
    model = carrier_of(method).attach(base, Annotations(table, LABELS), arguments, settings).train()
    tuner = dcpc_tuner(model)
    if tuner is not None and tuner.readout is not None:
        tuner.readout.enabled = False
        tuner.readout.requires_grad_(False)
        tuner.annotators.hold()
    return model, arguments.objective_config()


def step_of(model: nn.Module, objective: ObjectiveConfig, batch: dict[str, Tensor]) -> Callable[[], None]:
    """One optimizer step on a batch."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)

    def step() -> None:
        training_loss(model, batch, objective, n_judgements=1000).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def measures() -> tuple[dict[str, Callable[[], object]], dict[str, int]]:
    """What is timed, by name, and the numbers that each arm trains."""
    models = {name: attached(name) for name in ARMS}
    base, _ = load_base_model("minilm", LABELS)
    base.requires_grad_(False).eval()
    size = int(base.config.vocab_size)
    batch, five = batch_of(TEXTS, 1, size), batch_of(TEXTS, 5, size)
    rows = {name: value.repeat_interleave(5, dim=0) for name, value in five.items() if value.dim() == 2}
    rows |= {name: five[name] for name in ("labels", "annotator_ids")}
    rows |= {name: torch.arange(5 * TEXTS) for name in ("items", "item_index")}
    tokens = {name: batch[name] for name in ("input_ids", "attention_mask")}
    found = {f"{name} step": step_of(*models[name], batch) for name in ARMS}
    found["5 labels per item, default step"] = step_of(*models["default"], five)
    found["a row per label, default step"] = step_of(*models["default"], rows)

    def limit() -> None:
        embedded = base.get_input_embeddings()(tokens["input_ids"]).requires_grad_()
        base(inputs_embeds=embedded, attention_mask=tokens["attention_mask"]).logits.sum().backward()

    # A model of its own: predictions are made with the readout, steps without it.
    predictor, _ = attached("default")
    predictor.eval()
    tuner = dcpc_tuner(predictor)
    if tuner is not None and tuner.readout is not None:
        tuner.readout.enabled = True
    found["frozen forward and input gradient"] = limit
    found["default prediction"] = torch.no_grad()(lambda: predictor(**tokens))
    found["base model's prediction"] = torch.no_grad()(lambda: base(**tokens))
    trained = {
        name: sum(p.numel() for p in model.parameters() if p.requires_grad)
        for name, (model, _) in models.items()
    }
    return dict(found), trained


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, default=Path("results/speed.jsonl"))
    arguments = parser.parse_args()
    torch.manual_seed(0)
    calls, trained = measures()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(WARM + arguments.rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - started)
    seconds = {name: each[WARM:] for name, each in seconds.items()}
    shared = {"model": "minilm", "rounds": arguments.rounds, "threads": torch.get_num_threads()}
    shared |= {"processor": platform.processor() or platform.machine(), "trained": trained}
    lines = []
    for own, reference, aim in PAIRS:
        ratios = [there / here for here, there in zip(seconds[own], seconds[reference], strict=True)]
        row = {"measure": own, "over": reference, "ratio": round(statistics.median(ratios), 3), "aim": aim}
        row["seconds"] = round(statistics.median(seconds[own]), 4)
        row["reference_seconds"] = round(statistics.median(seconds[reference]), 4)
        print(f"{row['ratio']:6.2f} x  (aim {aim})  {own} over {reference}")
        lines.append(json.dumps({**row, **shared}))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
