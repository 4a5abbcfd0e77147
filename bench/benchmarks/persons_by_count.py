"""How well annotators are predicted by how many training judgements they gave.

    python bench/benchmarks/persons_by_count.py --data-folder DATA [--output results/persons_by_count.jsonl]

Sets in which annotators differ much in how many judgements they gave, all labels of 1,000 training items, with the
settings of the suite `sizes`: those that the searches of `real-small` chose, the same number of trials for each
method. Measured on judgements of other items, by annotator: how many there are, how many are not the label that is
most probable for the annotator, and their cross-entropy in nats. Who has no training judgement is predicted as the
consensus. A row per set, seed and method; those that are there are not measured again.
`bench/scripts/persons_table.py` writes the page.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rows import Rows

from dcpc.data import Annotations
from dcpc_bench.fitted import Fitted
from dcpc_bench.method import TrainingSettings
from dcpc_bench.methods import METHODS
from dcpc_bench.rig.cell_data import cell_data
from dcpc_bench.rig.sources import load_source
from dcpc_bench.rig.suite import load_suite
from dcpc_bench.statistics.splits import Split

SETS = ("md_agreement", "stanford_politeness")
NAMES = ("dcpc", "lora", "annotator-embeddings", "annotator-heads", "linear-probe-annotators")
CONDITION = "budget=all@1000"
MOST_TESTED = 1_000
"""Test items."""


def by_annotator(fitted: Fitted, train: Annotations, test: Annotations) -> dict[str, list[Any]]:
    """One entry for each annotator of the test judgements, by id: `given` training judgements, `judged` test
    judgements, of which `wrong` are not the label most probable for the annotator, and the sum of their `nats`.
    """
    annotators = test.table["annotator_id"]
    p, own = fitted.judged_probabilities(test.items, test.item_codes, annotators.tolist())
    own = p[test.item_codes] if own is None else own  # [J, C]
    judgements = pd.DataFrame(
        {
            "judged": 1,
            "wrong": (own.argmax(axis=1) != test.label_codes).astype(int),
            "nats": -np.log(own[range(len(own)), test.label_codes]),
        }
    )
    table = judgements.groupby(annotators.to_numpy()).sum().sort_index()
    given = train.table["annotator_id"].value_counts().reindex(table.index, fill_value=0)
    table["nats"] = table["nats"].round(4)
    return {"given": given.tolist(), **{name: table[name].tolist() for name in ("judged", "wrong", "nats")}}


def split_of(name: str, seed: int, data_folder: Path) -> Split:
    """The judgements of a set, those of a seed's items."""
    suite = load_suite("sizes")
    caps = suite.caps.model_copy(update={"test": MOST_TESTED})
    dataset = suite.dataset(name)
    source = load_source(dataset, data_folder)
    return cell_data(source, dataset, CONDITION, seed, suite.model_copy(update={"caps": caps})).split


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-folder", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("results/persons_by_count.jsonl"))
    parser.add_argument("--datasets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--methods", nargs="+", default=NAMES, choices=NAMES)
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    rows = Rows(arguments.output, "dataset", "seed", "method")
    suite = load_suite("sizes")
    settings = TrainingSettings(**suite.training.model_dump(), backbone=suite.backbone)
    cells = [
        (seed, dataset, name)
        for seed in range(arguments.seeds)
        for dataset in arguments.datasets
        for name in arguments.methods
    ]
    for seed, dataset, name in cells:
        if (dataset, seed, name) in rows:
            continue
        started = time.perf_counter()
        split = split_of(dataset, seed, arguments.data_folder)
        setting = suite.setting_of(dataset, name) or {}
        fitted = METHODS[name].train(split.train, split.validation, settings, setting, seed)
        found = by_annotator(fitted, split.train, split.test)
        rows.add(
            {
                "dataset": dataset,
                "seed": seed,
                "method": name,
                "setting": {**setting, **fitted.setting},
                "train_items": split.train.n_items,
                "test_items": split.test.n_items,
                "seconds": round(time.perf_counter() - started),
                **found,
            }
        )
        wrong = 100 * sum(found["wrong"]) / sum(found["judged"])
        print(f"{dataset}, seed {seed}, {name}: {wrong:.1f} % of judgements wrong", flush=True)


if __name__ == "__main__":
    main()
