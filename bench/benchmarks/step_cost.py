"""What a training step costs, against P-Tuning v2 on the same batch: seconds and memory.

    python bench/benchmarks/step_cost.py [--methods dcpc lora …] [--output results/step_cost.jsonl]

One process per method, in turn, several rounds; a step is forward, backward and optimizer, with the objective, pairs
and annotators that `dcpc train` uses, on 32 texts of 40 tokens. Printed are the least step over all rounds (other
programs can only add), and how much the process grew from before the first step to its peak, on a GPU in memory that
it allocated there; in float32, and where the machine computes in it natively, in bfloat16.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

METHODS = ("p-tuning-v2", "lora", "dcpc")
REFERENCE = "p-tuning-v2"
TEXTS, TOKENS, WARM, STEPS = 32, 40, 2, 8


def measure(method: str, bf16: bool) -> dict[str, float | int | str]:
    """Time the steps of one method in this process."""
    import pandas as pd
    import torch
    from transformers import TrainerCallback

    from dcpc.data import Annotations
    from dcpc.fit import train_adapter
    from dcpc_bench.rig.device import device_name, peak_memory

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    words = ["river", "stone", "paper", "green", "window", "table", "music", "summer"]
    texts = [
        " ".join(words[(i * k + k) % len(words)] for k in range(TOKENS - 2))
        for i in range(1, TEXTS * (WARM + STEPS) + 1)
    ]
    table = pd.DataFrame({"item_id": [str(i) for i in range(len(texts))], "text": texts})
    table["annotator_id"] = [f"a{i % 12}" for i in range(len(texts))]
    table["label"] = ["no" if (i // 3) % 2 else "yes" for i in range(len(texts))]
    seconds, memory = [], []
    gpu = torch.cuda.is_available()

    class Clock(TrainerCallback):
        def on_step_begin(self, *args: object, **kwargs: object) -> None:
            memory.append(peak_memory())
            self.started = time.perf_counter()

        def on_step_end(self, *args: object, **kwargs: object) -> None:
            if gpu:
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - self.started)

    adapter = train_adapter(
        Annotations(table, ("no", "yes")),
        None,
        base_model="minilm",
        method=method,
        adapter={"r": 4, "lora_alpha": 8} if method == "lora" else {},
        training={
            "num_train_epochs": 1,
            "per_device_train_batch_size": TEXTS,
            "bf16": bf16,
            "logging_steps": 1_000,
        },
        base_options={"attn_implementation": "eager"} if bf16 else {},
        max_length=TOKENS,
        progress=False,
        callbacks=[Clock()],
    )
    peak = peak_memory()
    return {
        "method": method,
        "bf16": bf16,
        "step_s": round(min(seconds[WARM:]), 4),
        "growth_mib": round(peak - memory[0], 1),
        "peak_mib": round(peak, 1),
        "parameters": adapter.trainable_parameters,
        "device": device_name(),
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("results/step_cost.jsonl"))
    parser.add_argument("--one", nargs=3, metavar=("METHOD", "BF16", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        method, bf16, file = arguments.one
        Path(file).write_text(json.dumps(measure(method, bf16 == "1")))
        return
    from dcpc.training.precision import computes_bf16

    rows = []
    for bf16 in (False, True) if computes_bf16() else (False,):
        found: dict[str, dict] = {}
        for _ in range(arguments.rounds):
            for method in arguments.methods:
                with TemporaryDirectory() as folder:
                    file = Path(folder) / "row.json"
                    command = [sys.executable, __file__, "--one", method, str(int(bf16)), str(file)]
                    subprocess.run(command, check=True, capture_output=True)
                    row = json.loads(file.read_text())
                best = found.setdefault(method, row)
                for name in ("step_s", "growth_mib", "peak_mib"):
                    best[name] = min(best[name], row[name])
        for row in found.values():
            for name in ("step_s", "peak_mib"):
                row[f"{name}_ratio"] = round(row[name] / found[REFERENCE][name], 3)
            rows.append(row)
            print(row)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
