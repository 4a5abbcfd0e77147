"""How much a result hangs on the training seed: DCPC beside P-Tuning v2 on one and the same split.

    python bench/benchmarks/stability.py --data-folder DATA [--store DIR] [--output results/stability.jsonl]

Each method is trained with 20 seeds on the same 200 items for two epochs, with the setting that the store's search
chose for it; only starting weights, order and noise differ. Printed are the standard deviations over seeds and the
ratio of DCPC's to P-Tuning v2's with a 95 % interval (bootstrap over seeds). Rows are appended as they come, and
those that are there are not measured again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from rows import Rows
from tqdm import tqdm

from dcpc_bench.method import TrainingSettings
from dcpc_bench.methods import METHODS
from dcpc_bench.rig.cell_data import cell_data
from dcpc_bench.rig.run_job import measured
from dcpc_bench.rig.sources import load_source
from dcpc_bench.rig.store import Store
from dcpc_bench.rig.suite import load_suite

NAMES = ("dcpc", "p-tuning-v2")
MEASURES = ("macro_f1", "accuracy_argmax", "jensen_shannon")
TRAIN_ITEMS, EPOCHS, RESAMPLES = 200, 2.0, 10_000


def settings_in(store: Path, dataset: str) -> dict[str, dict[str, float]]:
    """What the store's searches chose for the two methods on a data set with one annotation per item."""
    records = Store(store).records().values()
    found = {
        r["method"]: r["setting"]
        for r in records
        if (r["kind"], r["dataset"], r["condition"]) == ("search", dataset, "budget=1")
    }
    missing = [name for name in NAMES if name not in found]
    if missing:
        raise SystemExit(f"{store}: no search of {missing[0]} on {dataset}; run the suite there first.")
    return found


def ratio_interval(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """95 % interval of the ratio of standard deviations, both resampled over seeds."""
    rng = np.random.default_rng(0)
    drawn = [x[rng.integers(len(x), size=(RESAMPLES, len(x)))].std(axis=1, ddof=1) for x in (first, second)]
    low, high = np.quantile(drawn[0] / drawn[1], (0.025, 0.975))
    return float(low), float(high)


def report(table: pd.DataFrame) -> None:
    """Print standard deviations and their ratio per data set and measure."""
    for dataset, of_set in table.groupby("dataset", sort=False):
        for name in MEASURES:
            first, second = (of_set.loc[of_set["method"] == m, name].to_numpy() for m in NAMES)
            if min(len(first), len(second)) < 3:
                continue
            low, high = ratio_interval(first, second)
            sds = first.std(ddof=1), second.std(ddof=1)
            print(
                f"{dataset:16} {name:16} mean {first.mean():.4f} and {second.mean():.4f}, "
                f"sd {sds[0]:.4f} and {sds[1]:.4f}, ratio {sds[0] / sds[1]:.2f} ({low:.2f} to {high:.2f}), "
                f"{len(first)} and {len(second)} seeds"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-folder", type=Path, required=True)
    parser.add_argument("--store", type=Path, default=Path("results/real-small"))
    parser.add_argument("--output", type=Path, default=Path("results/stability.jsonl"))
    parser.add_argument("--datasets", default="hs_brexit,md_agreement")
    parser.add_argument("--seeds", type=int, default=20)
    arguments = parser.parse_args()
    suite = load_suite("real-small")
    suite = suite.model_copy(update={"caps": suite.caps.model_copy(update={"train": TRAIN_ITEMS})})
    training = TrainingSettings(**suite.training.model_dump(), backbone=suite.backbone)
    rows = Rows(arguments.output, "dataset", "method", "seed")
    names = arguments.datasets.split(",")
    todo = [(d, s, m) for d in names for s in range(arguments.seeds) for m in NAMES if (d, m, s) not in rows]
    for name, seed, method in tqdm(todo):
        dataset = suite.dataset(name)
        case = cell_data(load_source(dataset, arguments.data_folder), dataset, "budget=1", 0, suite)
        setting = settings_in(arguments.store, name)[method]
        fitted = METHODS[method].train(
            case.split.train,
            case.split.validation,
            training.model_copy(update={"epochs": EPOCHS}),
            setting,
            seed,
        )
        metrics = measured(fitted, case)["metrics"]
        rows.add(
            {"dataset": name, "method": method, "seed": seed, "setting": setting}
            | {m: metrics[m] for m in MEASURES}
        )
    report(rows.table())


if __name__ == "__main__":
    main()
