"""Which form, learning rate and number of epochs suit `dcpc train` at a size: one label per item, noisy held-out
judgements.

    python bench/benchmarks/default_by_size.py --data-folder DATA [--sizes 125] [--sets md_agreement]
    python bench/benchmarks/default_by_size.py --data-folder DATA --sizes 2000 --sets md_agreement \\
        --forms default rank-8 --rates 3e-3 --epochs 5 --measured 1500 --bf16

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
from typing import Any

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
FORMS: dict[str, tuple[str, dict[str, int]]] = {
    "default": ("dcpc", {}),
    "width-48": ("dcpc", {"bottleneck": 48}),
    "rank-8": ("dcpc", {"rank": 8}),
    "rank-8 and width-12": ("dcpc", {"rank": 8, "bottleneck": 12}),
    "lora": ("lora", {}),
}
"""Methods of `dcpc train`, and settings of their adapter."""
RATES, EPOCHS = (3e-3, 6e-3, 1.2e-2), (5, 15)
MAX_LENGTH = 64
KEY = ("dataset", "size", "seed", "form", "rate", "epochs", "precision", "measured")
FIGURES = ("cross_entropy", "jensen_shannon", "judgement_error")


def measure(rows: Rows, data: Annotations, case: dict[str, Any]) -> None:
    """Train and measure one case, the values of `KEY`, that is not in the file, and add its row."""
    if tuple(case.values()) in rows:
        return
    size, seed = case["size"], case["seed"]
    train, held_out, measured = sides(data, seed, size - size // 10, size // 10, case["measured"])
    train, held_out = draw_budget(train, 1, seed), draw_budget(held_out, 1, seed)
    method, adapter = FORMS[case["form"]]
    settings = {"seed": seed, "learning_rate": case["rate"], "num_train_epochs": case["epochs"]}
    started = time.process_time()
    trained = train_adapter(
        train,
        held_out,
        base_model="minilm",
        method=method,
        adapter=adapter,
        training=settings | {"bf16": case["precision"] == "bf16"},
        max_length=MAX_LENGTH,
        progress=False,
    )
    found = evaluate_adapter(trained, measured).figures
    seconds = time.process_time() - started
    rows.add(case | {name: round(found[name], 5) for name in FIGURES} | {"cpu_seconds": round(seconds)})
    print(*case.values(), f"{seconds:.0f} CPU s", flush=True)


def table(rows: Rows) -> pd.DataFrame:
    """Per cent of each figure against `default` at 3e-3 for five epochs: mean and standard error over runs."""
    found = rows.table().set_index(list(KEY))[list(FIGURES)]
    lines = []
    for (size, precision), same in found.groupby(level=["size", "precision"]):
        base = same.xs(("default", RATES[0], EPOCHS[0]), level=("form", "rate", "epochs"))
        for (form, rate, epochs), figures in same.groupby(level=("form", "rate", "epochs")):
            off = (figures.droplevel(("form", "rate", "epochs")) / base - 1).dropna() * 100
            error = {
                name: f" ± {off[name].to_numpy().std(ddof=1) / len(off) ** 0.5:.1f}" if len(off) > 1 else ""
                for name in FIGURES
            }
            said = {name: f"{off[name].mean():+.1f}{error[name]}" for name in FIGURES}
            asked = {"items": size, "precision": precision, "form": form, "rate": rate, "epochs": epochs}
            lines.append(asked | {"runs": len(off)} | said)
    return pd.DataFrame(lines)


def main() -> None:
    """Measure what is not in the file yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-folder", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[125, 500, 2_000])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=["default"])
    parser.add_argument("--rates", type=float, nargs="+", default=RATES)
    parser.add_argument("--epochs", type=int, nargs="+", default=EPOCHS)
    parser.add_argument("--measured", type=int, default=400, help="items that measure, at most")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--output", type=Path, default=Path("results/default_by_size.jsonl"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows, suite = Rows(arguments.output, *KEY), load_suite("sizes")
    precision = "bf16" if arguments.bf16 else "float32"
    for size, dataset in product(arguments.sizes, arguments.sets):
        source = load_source(suite.dataset(dataset), arguments.data_folder)
        assert source.annotations is not None  # real annotators
        for asked in product(arguments.forms, arguments.rates, arguments.epochs):
            values = (dataset, size, 0, *asked, precision, arguments.measured)
            measure(rows, source.annotations, dict(zip(KEY, values, strict=True)))
    print(table(rows).to_markdown(index=False))


if __name__ == "__main__":
    main()
