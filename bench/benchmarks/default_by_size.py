"""Which learning rate and how many epochs suit `dcpc train` at a size: one label per item, noisy held-out judgements.

    python bench/benchmarks/default_by_size.py --data-folder DATA [--sizes 125] [--sets md_agreement]

Items of the test side of a split neither train nor measure. A tenth of the items choose the epoch, as in `dcpc
train`; up to 400 others measure, with all their judgements: cross-entropy in nats and Jensen-Shannon divergence in
bits of the distributions, and the share of judgements that are not what was predicted for their annotator. Rows are
appended as they come; at the end a table is printed.
"""

from __future__ import annotations

import argparse
import time
from itertools import product
from pathlib import Path

import pandas as pd
import torch
from rows import Rows
from sides import sides

from dcpc import train_adapter
from dcpc.data import Annotations
from dcpc.prediction.evaluate import evaluate_adapter
from dcpc_bench.rig.sources import load_source
from dcpc_bench.rig.suite import load_suite
from dcpc_bench.statistics.splits import draw_budget

SETS = ("md_agreement", "gwsd_stance", "popquorn_offensiveness", "stanford_politeness", "convabuse")
RATES, EPOCHS = (3e-3, 6e-3, 1.2e-2), (5, 15)
MEASURED_ITEMS, MAX_LENGTH = 400, 64
FIGURES = ("cross_entropy", "jensen_shannon", "judgement_error")


def measure(rows: Rows, data: Annotations, dataset: str, size: int, seed: int) -> None:
    """Train at every rate and length that is not in the file, and add its row."""
    train, held_out, measured = sides(data, seed, size - size // 10, size // 10, MEASURED_ITEMS)
    train, held_out = draw_budget(train, 1, seed), draw_budget(held_out, 1, seed)
    for rate, epochs in product(RATES, EPOCHS):
        if (dataset, size, seed, rate, epochs) in rows:
            continue
        started = time.process_time()
        trained = train_adapter(
            train,
            held_out,
            base_model="minilm",
            training={"seed": seed, "learning_rate": rate, "num_train_epochs": epochs},
            max_length=MAX_LENGTH,
            progress=False,
        )
        found = evaluate_adapter(trained, measured).figures
        key = {"dataset": dataset, "size": size, "seed": seed, "rate": rate, "epochs": epochs}
        seconds = time.process_time() - started
        rows.add(key | {name: round(found[name], 5) for name in FIGURES} | {"cpu_seconds": round(seconds)})
        print(*key.values(), f"{seconds:.0f} CPU s", flush=True)


def table(rows: Rows) -> pd.DataFrame:
    """Per cent of each figure against 3e-3 for five epochs: mean and standard error over sets and seeds."""
    found = rows.table().set_index(["dataset", "seed", "size", "rate", "epochs"])[list(FIGURES)]
    lines = []
    for size, of_size in found.groupby(level="size"):
        base = of_size.xs((RATES[0], EPOCHS[0]), level=("rate", "epochs"))
        for (rate, epochs), figures in of_size.groupby(level=("rate", "epochs")):
            off = (figures.droplevel(("rate", "epochs")) / base - 1).dropna() * 100
            error = {
                name: f" ± {off[name].to_numpy().std(ddof=1) / len(off) ** 0.5:.1f}" if len(off) > 1 else ""
                for name in FIGURES
            }
            said = {name: f"{off[name].mean():+.1f}{error[name]}" for name in FIGURES}
            lines.append({"items": size, "rate": rate, "epochs": epochs, "runs": len(off)} | said)
    return pd.DataFrame(lines)


def main() -> None:
    """Measure what is not in the file yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-folder", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[125, 500, 2_000])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--output", type=Path, default=Path("results/default_by_size.jsonl"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = Rows(arguments.output, "dataset", "size", "seed", "rate", "epochs")
    suite = load_suite("sizes")
    for size, dataset in product(arguments.sizes, arguments.sets):
        source = load_source(suite.dataset(dataset), arguments.data_folder)
        assert source.annotations is not None  # real annotators
        measure(rows, source.annotations, dataset, size, seed=0)
    print(table(rows).to_markdown(index=False))


if __name__ == "__main__":
    main()
