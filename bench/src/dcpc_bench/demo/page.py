"""The demo's page."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dcpc.report import render_page
from dcpc_bench.demo.data import DemoData
from dcpc_bench.demo.figures import accuracy_figure, learned_figure, sizes_figure, threshold_figure
from dcpc_bench.demo.methods import BASE_MODEL, METHODS, SHARED
from dcpc_bench.demo.results import Results

EXAMPLES = 6
FILES = (
    ("annotations.csv", "the labels that the saved adapters were trained on (seed 0)"),
    ("annotations_seed1.csv, …", "the labels of the other seeds"),
    ("annotators.csv", "true group and threshold of each annotator, and what DCPC learned"),
    ("test.csv", "test reviews with strength and clean label"),
    ("adapters/", "one adapter per method, of seed 0"),
    ("predictions.csv", "predicted label distributions, every method and seed"),
    ("results.csv, results.json", "scores of every training; summary and differences"),
)


def demo_page(
    data: DemoData, annotators: pd.DataFrame, learned: np.ndarray, results: Results, wrong: float
) -> str:
    """The page as HTML that needs no other file and no network.

    Args:
        data: the world.
        annotators: what `DemoData.annotators` says of the first seed's judgements.
        learned: share of positive labels that DCPC predicts for each annotator, mean over seeds, float [A].
        results: scores and statement.
        wrong: share of the judgements that are not the clean label, mean over seeds.
    """
    n_seeds = results.runs["seed"].nunique()
    return render_page(
        "demo",
        package="dcpc_bench.report",
        statement=results.statement,
        results=results,
        n_train=len(data.train_items),
        n_test=len(data.test),
        n_annotators=len(annotators),
        n_seeds=n_seeds,
        files=[file for file in FILES if n_seeds > 1 or "seed1" not in file[0]],
        wrong=wrong,
        base_model=BASE_MODEL,
        methods=METHODS,
        settings=SHARED,
        summary_rows=_summary_rows(results),
        run_rows=_run_rows(results),
        group_rows=_group_rows(annotators, learned),
        examples=_examples(data),
        accuracy=accuracy_figure(results),
        thresholds=threshold_figure(annotators),
        learned=learned_figure(annotators, learned),
        correlation=float(np.corrcoef(annotators["expected_positive_rate"], learned)[0, 1]),
        spread=float(np.std(learned) / np.std(annotators["expected_positive_rate"])),
        sizes=sizes_figure(annotators),
    )


def _summary_rows(results: Results) -> list[list[str]]:
    return [
        [
            _unbroken(own["method"]),
            f"{100 * own['accuracy']:.1f}",
            f"{100 * own['low']:.1f} to {100 * own['high']:.1f}",
            "–" if np.isnan(own["sd"]) else f"{100 * own['sd']:.1f}",
            f"{own['cross_entropy']:.3f}",
            f"{own['trainable_parameters']:,}",
            f"{own['seconds']:.0f}",
        ]
        for own in results.summary.to_dict("records")
    ]


def _run_rows(results: Results) -> list[list[str]]:
    return [
        [
            _unbroken(run["method"]),
            str(run["seed"]),
            f"{100 * run['accuracy']:.1f}",
            f"{run['cross_entropy']:.3f}",
            f"{run['seconds']:.0f}",
        ]
        for run in results.runs.sort_values(["seed"], kind="stable").to_dict("records")
    ]


def _group_rows(annotators: pd.DataFrame, learned: np.ndarray) -> list[list[str]]:
    means = annotators.assign(learned=learned).groupby("group").mean(numeric_only=True)
    return [
        [
            own["group"],
            f"{own['threshold']:+.2f}".replace("-", "−"),
            f"{100 * own['positive_rate']:.0f} %",
            f"{100 * own['expected_positive_rate']:.0f} %",
            f"{100 * own['learned']:.0f} %",
        ]
        for own in means.sort_values("threshold").reset_index().to_dict("records")
    ]


def _examples(data: DemoData) -> list[list[str]]:
    """Test reviews from the most negative to the most positive."""
    ordered = data.test.sort_values("strength", kind="stable")
    shown = ordered.iloc[np.linspace(0, len(ordered) - 1, min(EXAMPLES, len(ordered))).astype(int)]
    return [[f"{row['strength']:+.2f}".replace("-", "−"), row["text"]] for row in shown.to_dict("records")]


def _unbroken(name: str) -> str:
    """A name that stays on one line in a narrow column."""
    return name.replace(" ", "\u00a0").replace("-", "\u2011")
