"""What each layer of the frozen base model knows about real judgements: the evidence for the cross-layer readout.

    python bench/benchmarks/layer_probe.py --data-folder DATA [--output results/layer_probe.jsonl]

For every set of the suite `real-small`, budget and seed: logistic ridge regressions (the ridge chosen by
cross-validation on the noisy training judgements) on the pooled states of each layer, and of all layers together;
scored on the test items like any method of the benchmark. Rows are appended as they come, and those that are there
are not measured again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rows import Rows
from scipy.special import softmax

from dcpc.evaluation.decision import decide, fit_offsets
from dcpc.evaluation.measure import evaluate_distribution
from dcpc.models import load_base_model
from dcpc.pooling import mean_of_tokens
from dcpc.regression.logistic import Judged
from dcpc.tasks import tokenize_items
from dcpc.training.readout_regression import fit_readout
from dcpc_bench.rig.cell_data import cell_data
from dcpc_bench.rig.sources import load_source
from dcpc_bench.rig.suite import load_suite
from dcpc_bench.statistics.splits import Split


@torch.inference_mode()
def layer_states(items: pd.DataFrame, base_model: str, max_length: int) -> np.ndarray:
    """Pooled states of embeddings and layers, float32 [I, L+1, H]."""
    model, tokenizer = load_base_model(base_model, ["no", "yes"])
    encoded = tokenize_items(items, tokenizer, max_length)
    order = np.argsort([-len(ids) for ids in encoded["input_ids"]], kind="stable")
    found: list[np.ndarray] = [np.empty(0)] * len(order)
    for start in range(0, len(order), 64):
        rows = order[start : start + 64]
        batch = {name: [values[row] for row in rows] for name, values in encoded.items()}
        padded = tokenizer.pad(batch, return_tensors="pt")
        hidden = model.eval()(**padded, output_hidden_states=True).hidden_states
        pooled = torch.stack([mean_of_tokens(layer, padded["attention_mask"]) for layer in hidden], dim=1)
        for row, states in zip(rows, pooled.numpy(), strict=True):
            found[row] = states
    return np.stack(found)


def score(states: list[np.ndarray], sides: Split) -> dict[str, float]:
    """Metrics of a logistic ridge regression on [I, D] states of training, validation and test items."""
    train, validation, test = sides
    nobody = np.full(train.n_judgements, -1)  # the question is what states know, not annotators
    fitted = fit_readout(Judged(states[0], train.item_codes, train.label_codes, nobody, 0, train.n_classes))
    p = [softmax(fitted.logits(x), axis=1) for x in states]
    offsets = fit_offsets(p[1][validation.item_codes], validation.label_codes)
    return evaluate_distribution(p[2], test.counts, test.scale, decide(p[2], offsets))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-folder", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("results/layer_probe.jsonl"))
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    suite = load_suite("real-small")
    rows = Rows(arguments.output, "dataset", "condition", "seed")
    for seed in range(arguments.seeds):
        for dataset in suite.datasets:
            source = load_source(dataset, arguments.data_folder)
            states: list[np.ndarray] = []
            for condition in suite.conditions_of(dataset):
                if (dataset.name, condition, seed) in rows:
                    continue
                sides = cell_data(source, dataset, condition, seed, suite).split
                if not states:  # the items of a seed are the same under every condition
                    settings = (suite.training.base_model, suite.training.max_length)
                    states = [layer_states(side.items, *settings) for side in sides]
                kinds = {f"layer {k}": [x[:, k] for x in states] for k in range(states[0].shape[1])}
                kinds["all layers"] = [x.reshape(len(x), -1) for x in states]
                where = {"dataset": dataset.name, "condition": condition, "seed": seed}
                rows.add(*({**where, "states": kind, **score(x, sides)} for kind, x in kinds.items()))
    table = rows.table()
    for metric in ("macro_f1", "jensen_shannon", "cross_entropy"):
        print(table.pivot_table(index="states", columns="condition", values=metric).round(4).to_string())


if __name__ == "__main__":
    main()
