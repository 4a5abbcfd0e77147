"""How many training judgements the annotators of a suite's cells gave; nothing is trained.

    python bench/benchmarks/annotator_counts.py --data-folder DATA [--suite real-small]

The stores say how many of each test item's judgements were predicted wrongly, but not whose: this says of whom a cell
tells. For each set, condition and seed: the annotators of the training judgements, and over the test judgements the
median and the quartiles of how many training judgements their annotators gave.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rows import Rows

from dcpc_bench.rig.cell_data import cell_data
from dcpc_bench.rig.sources import load_source
from dcpc_bench.rig.suite import load_suite


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-folder", type=Path, required=True)
    parser.add_argument("--suite", default="real-small")
    parser.add_argument("--output", type=Path, default=Path("results/annotator_counts.jsonl"))
    arguments = parser.parse_args()
    suite = load_suite(arguments.suite)
    rows = Rows(arguments.output, "suite", "dataset", "condition", "seed")
    for dataset in suite.datasets:
        source = load_source(dataset, arguments.data_folder)
        if source.annotations is None:
            continue
        for condition in dataset.conditions or suite.conditions:
            for seed in range(suite.seeds):
                if (suite.name, dataset.name, condition, seed) in rows:
                    continue
                split = cell_data(source, dataset, condition, seed, suite).split
                given = split.train.table["annotator_id"].value_counts()
                of_tested = split.test.table["annotator_id"].map(given).fillna(0)
                low, median, high = np.quantile(of_tested, (0.25, 0.5, 0.75))
                rows.add(
                    {
                        "suite": suite.name,
                        "dataset": dataset.name,
                        "condition": condition,
                        "seed": seed,
                        "train_judgements": split.train.n_judgements,
                        "annotators": len(given),
                        "given": [low, median, high],
                        "unknown": round(float((of_tested == 0).mean()), 4),
                    }
                )
    print(
        rows.table().groupby(["dataset", "condition"])[["annotators", "unknown"]].mean().round(3).to_string()
    )


if __name__ == "__main__":
    main()
