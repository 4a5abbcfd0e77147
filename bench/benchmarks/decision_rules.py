"""What decision offsets do to a linear probe: the evidence for how `fit_offsets` fits them.

    python bench/benchmarks/decision_rules.py --data-folder DATA [--output results/decision_rules.jsonl]

For every set and budget of the suite `real-small`, on seeds that no suite uses: a linear probe, and decisions by its
most probable label, with offsets for the macro-F1 of the noisy validation labels themselves, and with those of
`fit_offsets`, for the macro-F1 to expect after calibration. Rows are appended as they come, and those that are there
are not measured again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rows import Rows

from dcpc.data import Annotations
from dcpc.evaluation.decision import best_offsets, decide, fit_offsets
from dcpc.evaluation.measure import evaluate_distribution
from dcpc_bench.method import TrainingSettings
from dcpc_bench.methods import METHODS
from dcpc_bench.rig.cell_data import cell_data
from dcpc_bench.rig.sources import load_source
from dcpc_bench.rig.suite import load_suite

FIRST_SEED = 100


def scores(
    train: Annotations, validation: Annotations, test: Annotations, seed: int
) -> Iterator[dict[str, str | float]]:
    """Macro-F1 and accuracy of the three rules."""
    fitted = METHODS["linear-probe"].train(train, validation, TrainingSettings(max_length=256), {}, seed)
    seen = fitted.probabilities(validation.items)[validation.item_codes]  # [V, C]
    known = np.eye(train.n_classes)[validation.label_codes]
    p = fitted.probabilities(test.items)
    for rule, offsets in (
        ("most probable label", np.zeros(train.n_classes)),
        ("macro-F1 of the labels", best_offsets(np.log(seen), known)),
        ("expected macro-F1", fit_offsets(seen, validation.label_codes)),
    ):
        found = evaluate_distribution(p, test.counts, test.scale, decide(p, offsets))
        yield {"rule": rule, "macro_f1": found["macro_f1"], "accuracy": found["accuracy"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-folder", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("results/decision_rules.jsonl"))
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    suite = load_suite("real-small")
    rows = Rows(arguments.output, "dataset", "condition", "seed")
    for seed in range(FIRST_SEED, FIRST_SEED + arguments.seeds):
        for dataset in suite.datasets:
            source = load_source(dataset, arguments.data_folder)
            for condition in suite.conditions_of(dataset):
                if (dataset.name, condition, seed) in rows:
                    continue
                split = cell_data(source, dataset, condition, seed, suite).split
                where = {"dataset": dataset.name, "condition": condition, "seed": seed}
                rows.add(*({**where, **found} for found in scores(*split, seed)))
    table = rows.table().pivot_table(
        index="rule", columns="condition", values=["macro_f1", "accuracy"], sort=False
    )
    print((table * 100).round(1).to_string())


if __name__ == "__main__":
    main()
