"""What a readout gains from knowing the annotators: the evidence for fitting both together.

    python bench/benchmarks/annotator_readout.py --data-folder DATA [--output results/annotator_readout.jsonl]

For every condition of the suite `shift-small`, on seeds that no suite uses: logistic ridge regressions on the pooled
states of all layers of the frozen base model, of the judgements as anybody's, and with an effect of every annotator.
Scored by the accuracy of the most probable label on the clean labels of the test items. Rows are appended as they
come, and those that are there are not measured again.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from layer_probe import layer_states
from rows import Rows
from scipy.special import softmax

from dcpc.data import Annotations
from dcpc.regression.logistic import Judged
from dcpc.training.readout_regression import fit_readout
from dcpc_bench.rig.cell_data import cell_data
from dcpc_bench.rig.sources import load_source
from dcpc_bench.rig.suite import load_suite

FIRST_SEED = 100


def accuracies(
    train: Annotations, states: np.ndarray, test: Annotations, test_states: np.ndarray
) -> dict[str, float]:
    """Shares of the test items [I, D] whose clean label each readout finds most probable."""
    known = Judged(
        states,
        train.item_codes,
        train.label_codes,
        train.annotator_codes,
        len(train.annotators),
        train.n_classes,
    )
    anybodys = replace(known, annotators=np.full(train.n_judgements, -1))
    clean, found = test.counts.argmax(axis=1), {}
    for name, judged in (("as anybody's", anybodys), ("with annotators", known)):
        fitted = fit_readout(judged)
        effects = np.zeros((1, train.n_classes)) if fitted.effects is None else fitted.effects
        each = fitted.logits(test_states)[:, None] + effects  # [I, A, C]
        found[name] = float((softmax(each, axis=-1).mean(axis=1).argmax(axis=1) == clean).mean())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-folder", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("results/annotator_readout.jsonl"))
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    suite = load_suite("shift-small")
    dataset = suite.datasets[0]
    source = load_source(dataset, arguments.data_folder)
    rows = Rows(arguments.output, "condition", "seed")
    for seed in range(FIRST_SEED, FIRST_SEED + arguments.seeds):
        states: list[np.ndarray] = []
        for condition in suite.conditions_of(dataset):
            if (condition, seed) in rows:
                continue
            case = cell_data(source, dataset, condition, seed, suite)
            sides = (case.split.train, case.split.test)
            if not states:  # the items of a seed are the same under every condition
                settings = (suite.training.base_model, suite.training.max_length)
                states = [layer_states(side.items, *settings).reshape(side.n_items, -1) for side in sides]
            found = accuracies(sides[0], states[0], sides[1], states[1])
            rows.add({"condition": condition, "seed": seed, "noise": case.train_noise, **found})
    table = rows.table()
    table["gain"] = table["with annotators"] - table["as anybody's"]
    means = table.drop(columns="seed").groupby("condition", sort=False).mean()
    means["gain, sd over seeds"] = table.groupby("condition", sort=False)["gain"].std()
    print((means * 100).round(1).to_string())


if __name__ == "__main__":
    main()
