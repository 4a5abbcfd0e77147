"""What a few judgements of a new annotator are worth: `dcpc adapt` against the population, a bias, and refitting.

    python bench/benchmarks/adapt_curve.py --data-folder DATA [--output results/adapt_curve.jsonl]

Of every set, a fifth of the annotators with enough judgements is held out, and items are split as ever. An adapter is
trained with the product's defaults on what the other annotators said of the training items. Then, for each held-out
annotator, n of their judgements of training items are shown, and their judgements of test items are predicted:

- population: the distribution of the item, whoever asks;
- adapt: `dcpc.adaptation`;
- bias: an offset per label on the log of the population's distribution, its ridge chosen on the training annotators;
- refit: the whole adapter is trained again, with the n judgements of every held-out annotator among the others'.

Rows are appended as they come, one per set, seed, n and method, with a list per held-out annotator: judgements
tested, of these wrong, and the sum of their log-losses in nats. `bench/scripts/adapt_table.py` writes the page.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from rows import Rows
from scipy.optimize import minimize
from scipy.special import log_softmax

from dcpc import train_adapter
from dcpc.adapter import TrainedAdapter
from dcpc.data import Annotations
from dcpc.prediction import predict_distribution, predict_judgements
from dcpc_bench.rig.sources import load_source
from dcpc_bench.rig.suite import load_suite
from dcpc_bench.statistics.splits import split_by_item

SETS = ("gwsd_stance", "popquorn_offensiveness", "stanford_politeness", "md_agreement")
SHOWN = (0, 1, 2, 5, 10, 20)
REFITTED = (5, 20)
"""Sizes at which the whole adapter is trained again, for the first seed of the first two sets."""
HELD_OUT, MOST_HELD_OUT = 0.2, 40
"""Share of the annotators with enough judgements that is held out, and at most so many."""
FEWEST_TESTED = 8
TRAIN_ITEMS, VALIDATION_ITEMS, TEST_ITEMS = 500, 100, 400
TRAINING = {"num_train_epochs": 3, "per_device_train_batch_size": 32}
MAX_LENGTH = 64
RIDGES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class Case:
    """A set and a seed: who is held out, what is trained on, shown and tested.

    Args:
        data: all judgements.
        seed: of the split, of who is held out, and of the order in which judgements are shown.
    """

    def __init__(self, data: Annotations, seed: int) -> None:
        rng = np.random.default_rng([seed, 7])
        split = split_by_item(data, seed)
        test = split.test.of_items(rng.permutation(split.test.item_ids)[:TEST_ITEMS].tolist())
        pool = data.where(~data.table["item_id"].isin(split.test.item_ids))
        shown, tested = (side.table["annotator_id"].value_counts() for side in (pool, test))
        enough = [a for a in shown.index[shown >= SHOWN[-1]] if tested.get(a, 0) >= FEWEST_TESTED]
        n_held_out = min(MOST_HELD_OUT, round(HELD_OUT * len(enough)))
        self.annotators = sorted(rng.permutation(sorted(enough))[:n_held_out])
        self.test = test.where(test.table["annotator_id"].isin(self.annotators))
        self.others = pool.where(~pool.table["annotator_id"].isin(self.annotators))
        items = rng.permutation(self.others.item_ids).tolist()
        used = TRAIN_ITEMS + VALIDATION_ITEMS
        self.train = self.others.of_items(items[:TRAIN_ITEMS])
        self.validation = self.others.of_items(items[TRAIN_ITEMS:used])
        self.unused = self.others.of_items(items[used:])  # what the bias chooses its ridge on
        self._pool, self._order = pool, rng.permutation(pool.n_judgements)

    def shown(self, n: int) -> Annotations:
        """The first n judgements of each held-out annotator, in one order for all n."""
        table = self._pool.table.iloc[self._order]
        table = table[table["annotator_id"].isin(self.annotators)]
        kept = table.groupby("annotator_id").head(n).sort_index()
        return replace(self._pool, table=kept.reset_index(drop=True))


def trained(train: Annotations, validation: Annotations, seed: int) -> TrainedAdapter:
    """An adapter by the product's defaults."""
    return train_adapter(
        train,
        validation,
        base_model="minilm",
        training={**TRAINING, "seed": seed},
        max_length=MAX_LENGTH,
        progress=False,
    )


def scored(case: Case, p: np.ndarray) -> list[list[float]]:
    """Per held-out annotator: judgements tested, wrong ones, summed log-loss."""
    labels = case.test.label_codes
    wrong = p.argmax(axis=1) != labels
    losses = -np.log(p[np.arange(len(labels)), labels].clip(1e-12))
    who = case.test.table["annotator_id"].to_numpy()
    rows = [who == name for name in case.annotators]
    return [[int(own.sum()), int(wrong[own].sum()), round(float(losses[own].sum()), 3)] for own in rows]


def asked(case: Case, adapter: TrainedAdapter) -> tuple[np.ndarray, np.ndarray | None]:
    """Distributions of the test items, each once per judgement, and of the judgements' annotators [J, C]."""
    who = case.test.table["annotator_id"].tolist()
    items, own = predict_judgements(adapter, case.test.items, case.test.item_codes, who)
    return items[case.test.item_codes], own


def bias(log_p: np.ndarray, labels: np.ndarray, ridge: float) -> np.ndarray:
    """Offset per label [C] that a few judgements ask for, pulled to zero."""

    def loss(b: np.ndarray) -> tuple[float, np.ndarray]:
        found = log_softmax(log_p + b, axis=1)
        gradient = np.exp(found).sum(axis=0) - np.bincount(labels, minlength=len(b)) + ridge * b
        return -found[np.arange(len(labels)), labels].sum() + ridge * (b**2).sum() / 2, gradient

    return minimize(loss, np.zeros(log_p.shape[1]), jac=True, method="L-BFGS-B").x


def best_ridge(side: Annotations, log_p: np.ndarray, n: int, rng: np.random.Generator) -> float:
    """The ridge by which n judgements of annotators of the training predict their others best.

    Args:
        side: their judgements of items that were not trained on.
        log_p: the population's log-distribution of these items [I, C].
        n: judgements shown.
        rng: chooses them.
    """
    losses = np.zeros(len(RIDGES))
    for code in rng.permutation(len(side.annotators))[: 2 * MOST_HELD_OUT]:
        rows = rng.permutation(np.flatnonzero(side.annotator_codes == code))
        if len(rows) < n + 2:
            continue
        z, y = log_p[side.item_codes[rows]], side.label_codes[rows]
        for at, ridge in enumerate(RIDGES):
            new = log_softmax(z[n:] + bias(z[:n], y[:n], ridge), axis=1)
            losses[at] -= new[np.arange(len(y) - n), y[n:]].mean()
    return RIDGES[int(losses.argmin())]


def log_population(adapter: TrainedAdapter, items: pd.DataFrame) -> np.ndarray:
    """Log of the population's distribution [I, C]."""
    return np.log(predict_distribution(adapter, items).clip(1e-9))


def by_bias(case: Case, adapter: TrainedAdapter, population: np.ndarray, seed: int) -> dict[int, np.ndarray]:
    """By n, what the held-out annotators say by the population and a bias of each [J, C].

    Args:
        case: who is held out.
        adapter: trained on the others.
        population: its distributions of the tested judgements' items [J, C].
        seed: of the choice of ridges.
    """
    unused = case.unused.of_items(case.unused.item_ids[:TEST_ITEMS])
    of_unused = log_population(adapter, unused.items)
    most = case.shown(SHOWN[-1])
    of_shown = pd.DataFrame(log_population(adapter, most.items), index=most.item_ids)
    who = case.test.table["annotator_id"].to_numpy()
    found = {}
    for n in SHOWN[1:]:
        ridge = best_ridge(unused, of_unused, n, np.random.default_rng([seed, n]))
        few, own = case.shown(n), np.log(population.clip(1e-9))
        z = of_shown.loc[few.table["item_id"]].to_numpy()  # [n A, C]
        for code, name in enumerate(few.annotators):
            rows = few.annotator_codes == code
            own[who == name] += bias(z[rows], few.label_codes[rows], ridge)
        found[n] = np.exp(log_softmax(own, axis=1))
    return found


def by_adapting(case: Case, adapter: TrainedAdapter) -> dict[int, np.ndarray]:
    """By n, what the held-out annotators say by `dcpc adapt` [J, C].

    New annotators do not depend on each other, so one with n judgements and the same with 2 n can be learned at once.
    """
    shown = {n: case.shown(n).table for n in SHOWN[1:]}
    all_n = [
        table.assign(annotator_id=[f"{a} by {n}" for a in table["annotator_id"]])
        for n, table in shown.items()
    ]
    adapter.adapt(replace(case.test, table=pd.concat(all_n, ignore_index=True)))
    codes, who = case.test.item_codes, case.test.table["annotator_id"]
    asked_of = [f"{a} by {n}" for n in shown for a in who]
    _, own = predict_judgements(adapter, case.test.items, np.tile(codes, len(shown)), asked_of)
    assert own is not None  # the adapter knows annotators
    return dict(zip(shown, np.split(own, len(shown)), strict=True))


def measure(rows: Rows, data: Annotations, dataset: str, seed: int, refits: bool) -> None:
    """All rows of a set and seed that are not there yet."""
    case = Case(data, seed)

    def add(n: int, method: str, own: np.ndarray) -> None:
        if (dataset, seed, n, method) not in rows:
            where = {"dataset": dataset, "seed": seed, "n": n, "method": method}
            rows.add({**where, "annotators": scored(case, own)})

    wanted = [(0, "population"), *((n, method) for n in SHOWN[1:] for method in ("adapt", "bias"))]
    if any((dataset, seed, *one) not in rows for one in wanted):
        adapter = trained(case.train, case.validation, seed)
        population, _ = asked(case, adapter)
        add(0, "population", population)
        for n, own in by_bias(case, adapter, population, seed).items():
            add(n, "bias", own)
        for n, own in by_adapting(case, adapter).items():
            add(n, "adapt", own)
    for n in REFITTED if refits else ():
        if (dataset, seed, n, "refit") not in rows:
            few = case.shown(n)
            both = pd.concat([case.train.table, few.table], ignore_index=True)
            refitted = asked(case, trained(replace(case.train, table=both), case.validation, seed))[1]
            assert refitted is not None  # the adapter knows annotators
            add(n, "refit", refitted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-folder", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("results/adapt_curve.jsonl"))
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    rows = Rows(arguments.output, "dataset", "seed", "n", "method")
    suite = load_suite("sizes")
    for seed in range(arguments.seeds):
        for number, dataset in enumerate(SETS):
            source = load_source(suite.dataset(dataset), arguments.data_folder)
            assert source.annotations is not None  # real annotators
            measure(rows, source.annotations, dataset, seed, refits=seed == 0 and number < 2)
            print(dataset, seed, flush=True)


if __name__ == "__main__":
    main()
