"""Memory and time to the first step by the number of rows: what reading, training and predicting hold.

    python bench/benchmarks/memory.py [--rows 10000 100000 1000000] [--kinds csv jsonl json parquet]

Rows are judgements, one per item as people who annotate at scale have them, of 12 to 28 words (about 130 characters),
by one annotator for every hundred rows. Each cell runs in a process of its own: read, train a random BERT of two
layers and 32 numbers for three steps of 32 items (readout and annotators as `dcpc train` makes them, one item of a
hundred held out up to 2,000), and predict the first `--predict` items through `dcpc.prediction`. The tables are made
in a temporary folder and removed. A later run goes on where an earlier one stopped.

Printed and kept are MiB: `anonymous` is what only this process holds and cannot give back, and what fills a machine;
`resident` counts mapped pages of files, which the system takes back when it needs them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rows import Rows

WORDS = [
    "river", "stone", "paper", "green", "window", "table", "music", "summer", "letter", "garden", "winter", "bridge",
    "answer", "silver", "forest", "market", "engine", "morning", "shadow", "people", "orange", "castle", "doctor",
    "island", "ticket", "planet", "camera", "singer", "pencil", "kitchen", "valley",
]  # fmt: skip
LABELS = ("calm", "rude", "unclear")
EVERY = 100
BATCH = 100_000


class Peak:
    """The most memory of this process since it was made, looked at a hundred times a second."""

    def __init__(self) -> None:
        self.anonymous = self.resident = 0.0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self._look()
            time.sleep(0.01)

    def _look(self) -> None:
        fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        self.anonymous = max(self.anonymous, int(fields["RssAnon"].split()[0]) / 1024)
        self.resident = max(self.resident, int(fields["VmRSS"].split()[0]) / 1024)

    @contextmanager
    def of(self, row: dict[str, Any], name: str) -> Iterator[None]:
        """Note peak and seconds of a part under its name."""
        self.anonymous = self.resident = 0.0
        self._look()
        started, worked = time.perf_counter(), time.process_time()
        yield
        self._look()
        row |= {f"{name}_s": round(time.perf_counter() - started, 1)}
        row |= {f"{name}_cpu_s": round(time.process_time() - worked, 1)}
        row |= {f"{name}_anonymous": round(self.anonymous), f"{name}_resident": round(self.resident)}


def write_rows(path: Path, number: int) -> None:
    """A table of so many judgements, in batches."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    draw, writer = np.random.default_rng(0), None
    for start in range(0, number, BATCH):
        size = min(BATCH, number - start)
        lengths = draw.integers(12, 29, size)
        words = np.array(WORDS, dtype=object)[draw.integers(0, len(WORDS), lengths.sum())]
        ends = np.cumsum(lengths)
        texts = [" ".join(words[end - n : end]) for end, n in zip(ends, lengths, strict=True)]
        frame = pd.DataFrame({"item_id": np.arange(start, start + size), "text": texts})
        frame["text"] = frame["text"] + " " + frame["item_id"].astype(str)
        frame["annotator_id"] = "worker" + pd.Series(draw.integers(0, max(2, number // 100), size)).astype(
            str
        )
        frame["label"] = np.array(LABELS, dtype=object)[draw.integers(0, len(LABELS), size)]
        if path.suffix == ".csv":
            frame.to_csv(path, index=False, mode="a", header=start == 0)
        elif path.suffix == ".jsonl":
            frame.to_json(path, orient="records", lines=True, mode="a")
        elif path.suffix == ".json":  # an array, on one line
            with path.open("a", encoding="utf-8") as file:
                file.write(("[" if start == 0 else ",") + frame.to_json(orient="records")[1:-1])
                file.write("]" if start + size == number else "")
        else:
            table = pa.Table.from_pandas(frame, preserve_index=False)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
    if writer is not None:
        writer.close()


def tiny_model(folder: Path) -> None:
    """A random BERT of two layers with the vocabulary of `minilm`."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from dcpc.models import load_base_model

    _, tokenizer = load_base_model("minilm", LABELS)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def measure(table: Path, model: Path, number: int, predicted: int) -> dict[str, Any]:
    """Read, train a few steps and predict in this process."""
    import torch
    from transformers import TrainerCallback

    from dcpc.data.readers import read_annotations, read_item_rows
    from dcpc.data.writers import table_in_parts
    from dcpc.fit import train_adapter
    from dcpc.prediction import predict_parts
    from dcpc.training.holdout import hold_out

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    row: dict[str, Any] = {"rows": number, "kind": table.suffix[1:], "bytes": table.stat().st_size}
    peak, begun, worked = Peak(), time.perf_counter(), time.process_time()

    class FirstStep(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            row.setdefault("first_step_s", round(time.perf_counter() - begun, 1))
            row.setdefault("first_step_cpu_s", round(time.process_time() - worked, 1))

    with peak.of(row, "start"):
        pass
    with peak.of(row, "read"):
        annotations = read_annotations(table)
    with peak.of(row, "train"):
        division = hold_out(annotations, min(1 / EVERY, 2_000 / number), 0)
        adapter = train_adapter(
            division.train,
            division.validation,
            base_model=str(model),
            training={"max_steps": 3, "per_device_train_batch_size": 32},
            max_length=64,
            progress=False,
            callbacks=[FirstStep()],
        )
    del annotations, division
    if predicted:
        with peak.of(row, "predict"):
            items = read_item_rows(table)
            with table_in_parts(table.with_suffix(".out.csv")) as write:
                for part in predict_parts(adapter, items, "distribution", batch_size=256):
                    write(part)
        row["predicted"] = len(items.items)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", nargs="+", type=int, default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--kinds", nargs="+", default=["csv"], choices=["csv", "jsonl", "json", "parquet"])
    parser.add_argument("--predict", type=int, default=1_000_000, help="predict up to so many rows")
    parser.add_argument("--output", type=Path, default=Path("results/memory.jsonl"))
    parser.add_argument("--one", nargs=4, metavar=("TABLE", "MODEL", "ROWS", "OUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        table, model, number, out = arguments.one
        predicted = int(number) if int(number) <= arguments.predict else 0
        Path(out).write_text(json.dumps(measure(Path(table), Path(model), int(number), predicted)))
        return
    found = Rows(arguments.output, "kind", "rows")
    for number in arguments.rows:
        for kind in arguments.kinds:
            if (kind, number) in found:
                continue
            with TemporaryDirectory() as folder:
                table, model, out = (Path(folder) / name for name in (f"rows.{kind}", "model", "row.json"))
                write_rows(table, number)
                tiny_model(model)
                one = ["--one", str(table), str(model), str(number), str(out)]
                limit = ["--predict", str(arguments.predict)]
                subprocess.run([sys.executable, __file__, *limit, *one], check=True)
                row = json.loads(out.read_text())
            print(row, flush=True)
            found.add(row)


if __name__ == "__main__":
    main()
