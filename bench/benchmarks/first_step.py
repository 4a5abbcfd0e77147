"""Seconds from a file of 100,000 judgements to the first training step on `minilm`, its parts apart.

    python bench/benchmarks/first_step.py [--rows 100000] [--output results/first_step.jsonl]

The clock's seconds and the processor's, one thread. The readout is left out of the training; what its pass over the
items takes is told from the pace of a few of them, since it is long on one thread, and only the base model's pass.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from memory import write_rows
from rows import Rows

import dcpc
from dcpc.models import load_base_model

READ_OUT, PACED = 20_000, 512
"""Items that a readout takes of very many, and items that the pace is told from."""


def now() -> tuple[float, float]:
    """The clock and the processor, in seconds."""
    return time.perf_counter(), time.process_time()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--output", type=Path, default=Path("results/first_step.jsonl"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        write_rows(path, arguments.rows)
        times = [now()]
        data = dcpc.read_annotations(path)
        times.append(now())
        training = {"max_steps": 1, "per_device_train_batch_size": 32, "use_cpu": True}
        dcpc.train_adapter(
            data, None, base_model="minilm", adapter={"readout": False}, training=training, progress=False
        )
        times.append(now())
        texts = data.items["text"].head(PACED).tolist()
    model, tokenizer = load_base_model("minilm", data.labels)
    started = now()
    with torch.no_grad():
        for first in range(0, PACED, 32):
            model(**tokenizer(texts[first : first + 32], padding=True, truncation=True, return_tensors="pt"))
    ended = now()
    row: dict[str, float] = {"rows": arguments.rows}
    for place, kind in enumerate(("s", "cpu_s")):
        row[f"read_{kind}"] = times[1][place] - times[0][place]
        row[f"start_{kind}"] = times[2][place] - times[1][place]
        pace = (ended[place] - started[place]) / PACED
        row[f"readout_pass_{kind}"] = pace * min(READ_OUT, data.n_items)
    row = {name: round(value, 1) for name, value in row.items()}
    print(json.dumps(row))
    Rows(arguments.output, "rows").add(row)


if __name__ == "__main__":
    main()
