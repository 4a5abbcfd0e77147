"""The whole demo: generate, train, compare, write the folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from dcpc.data.annotations import Annotations
from dcpc.data.writers import write_long
from dcpc.files import atomic_folder
from dcpc_bench.demo.data import LABELS, TEST_ITEMS, DemoData
from dcpc_bench.demo.methods import BASE_MODEL
from dcpc_bench.demo.page import demo_page
from dcpc_bench.demo.results import Results, score
from dcpc_bench.demo.run import Run, run_all

WORLD = 1
"""Seed of the demo's reviews and annotators."""


def run_demo(
    output: Path,
    *,
    items: int,
    n_seeds: int,
    console: Console,
    force: bool = False,
    test_items: int = TEST_ITEMS,
    base_model: str = BASE_MODEL,
) -> Results:
    """Train, compare and write the demo's folder, whole or not at all.

    Args:
        output: folder to make.
        items: training reviews.
        n_seeds: trainings per method.
        console: where progress is shown.
        force: replace a folder that is there already.
        test_items: test reviews.
        base_model: as for `train_adapter`.

    Raises:
        UsageError: if the folder is not empty or cannot be written to.
        ModelError: if the base model is not installed.
    """
    data = DemoData.generate(items, WORLD, test_items=test_items)
    seeds = range(n_seeds)
    with atomic_folder(output, "demo", force=force) as folder:
        runs = run_all(data, seeds, console=console, adapters=folder / "adapters", base_model=base_model)
        results = score(runs, data.test_codes)
        _write(folder, data, [data.judge(seed) for seed in seeds], runs, results)
    return results


def _write(
    folder: Path, data: DemoData, judged: Sequence[Annotations], runs: Sequence[Run], results: Results
) -> None:
    for seed, given in enumerate(judged):
        name = "annotations.csv" if seed == 0 else f"annotations_seed{seed}.csv"
        write_long(given, folder / name)
    learned = np.mean([run.annotator_rates for run in runs if run.annotator_rates is not None], axis=0)  # [A]
    annotators = data.annotators(judged[0])
    annotators.assign(dcpc_positive_rate=learned).to_csv(folder / "annotators.csv", index=False)
    data.test.to_csv(folder / "test.csv", index=False)
    predictions(data, runs).to_csv(folder / "predictions.csv", index=False)
    results.runs.to_csv(folder / "results.csv", index=False)
    (folder / "results.json").write_text(json.dumps(results.as_json(), indent=2) + "\n", encoding="utf-8")
    wrong = float(np.mean([data.wrong_share(given) for given in judged]))
    (folder / "report.html").write_text(
        demo_page(data, annotators, learned, results, wrong), encoding="utf-8"
    )


def predictions(data: DemoData, runs: Sequence[Run]) -> pd.DataFrame:
    """Predicted label distributions: one row per method, seed and test item."""
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "method": run.method,
                    "seed": run.seed,
                    "item_id": data.test["item_id"],
                    "clean_label": data.test["clean_label"],
                    "predicted": np.array(LABELS)[run.probabilities.argmax(axis=1)],
                    **{f"p_{label}": run.probabilities[:, c].round(6) for c, label in enumerate(LABELS)},
                }
            )
            for run in runs
        ],
        ignore_index=True,
    )
