"""Whose judgements the distribution of an item is: the evidence for a mean in which all known annotators weigh alike.

    python bench/benchmarks/population.py --data-folder DATA [--output results/population.jsonl]

For the sets of the suite `real-small`, on seeds that no suite uses: the regression of DCPC's readout, which gives the
annotators their effects, fitted to one label or all labels of 500 items. Its annotators' distributions are averaged
in several ways, and each mean is scored on all judgements of up to 400 validation items. Rows are appended as they
come, and those that are there are not measured again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from rows import Rows
from scipy.special import softmax

from dcpc.data import Annotations
from dcpc.evaluation.distribution import cross_entropy, jensen_shannon
from dcpc.regression.logistic import Judged
from dcpc.training.readout_regression import fit_readout
from dcpc_bench.method import TrainingSettings
from dcpc_bench.methods.all_layer_probe import all_layer_states
from dcpc_bench.rig.cell_data import cell_data
from dcpc_bench.rig.sources import load_source
from dcpc_bench.rig.suite import Caps, load_suite

FIRST_SEED, CAPS = 100, Caps(train=500, validation=400, test=1)
WEIGHTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "alike": np.ones_like,
    "by judgements": lambda n: n,
    "by their root": np.sqrt,
    "by judgements + 5": lambda n: n + 5,
    "by judgements + 20": lambda n: n + 20,
}
"""How much annotators count who gave n judgements of the training [A]."""


def measured(
    train: Annotations, states: np.ndarray, held_out: Annotations, held_out_states: np.ndarray
) -> dict[str, float]:
    """Cross-entropy and divergence of every mean on the held-out items; states are [I, D]."""
    n_annotators = len(train.annotators)
    judged = Judged(
        states,
        train.item_codes,
        train.label_codes,
        train.annotator_codes,
        n_annotators,
        train.n_classes,
    )
    fitted = fit_readout(judged)
    effects = np.zeros((n_annotators, train.n_classes)) if fitted.effects is None else fitted.effects
    each = softmax(fitted.logits(held_out_states)[:, None] + effects, axis=-1)  # [I, A, C]
    counts = np.bincount(train.annotator_codes, minlength=n_annotators).astype(float)
    found: dict[str, float] = {
        "annotators": n_annotators,
        "most": int(counts.max()),
        "least": int(counts.min()),
    }
    for name, weigh in WEIGHTS.items():
        weights = weigh(counts)
        p = np.einsum("iac,a->ic", each, weights / weights.sum())
        found[f"cross-entropy, {name}"] = float(cross_entropy(p, held_out.soft_labels).mean())
        found[f"divergence, {name}"] = float(jensen_shannon(p, held_out.soft_labels).mean())
    return found


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """What each mean changes against one in which all weigh alike, in percent, and in how many rows it is lower."""
    body: dict[str, dict[str, float]] = {}
    for name in WEIGHTS:
        for metric in ("cross-entropy", "divergence"):
            change = table[f"{metric}, {name}"] / table[f"{metric}, alike"] - 1
            body.setdefault(name, {})[f"{metric}, %"] = round(100 * change.mean(), 2)
            body[name][f"{metric}, from"] = round(100 * change.min(), 2)
            body[name][f"{metric}, to"] = round(100 * change.max(), 2)
            body[name][f"{metric}, lower"] = int((change < 0).sum())
    return pd.DataFrame(body).T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-folder", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("results/population.jsonl"))
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    suite = load_suite("real-small").model_copy(update={"caps": CAPS})
    settings = TrainingSettings(**suite.training.model_dump())
    rows = Rows(arguments.output, "dataset", "labels", "seed")
    for seed in range(FIRST_SEED, FIRST_SEED + arguments.seeds):
        for dataset in suite.datasets:
            if all((dataset.name, labels, seed) in rows for labels in ("one", "all")):
                continue
            source = load_source(dataset, arguments.data_folder)
            whole, one = (
                cell_data(source, dataset, f"budget={budget}", seed, suite).split for budget in ("all", "1")
            )
            states, held_out = (all_layer_states(side.items, settings) for side in whole[:2])
            for labels, train in (("one", one.train), ("all", whole.train)):
                assert list(train.item_ids) == list(whole.train.item_ids)
                found = measured(train, states, whole.validation, held_out)
                rows.add({"dataset": dataset.name, "labels": labels, "seed": seed, **found})
    print(f"{len(rows.rows)} regressions")
    print(summary(rows.table()).to_string())


if __name__ == "__main__":
    main()
