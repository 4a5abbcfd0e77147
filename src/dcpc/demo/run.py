"""Nine trainings: every method with every seed, on the same judgements in the same order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from dcpc.adapters import TrainedAdapter
from dcpc.demo.data import DemoData
from dcpc.demo.methods import BASE_MODEL, MAX_LENGTH, METHODS, Method, training_settings
from dcpc.prediction import predict_annotators, predict_distribution
from dcpc.training.fit import train_adapter


@dataclass(frozen=True)
class Run:
    """What one training led to.

    Attributes:
        method: the method's name.
        seed: of the judgements, the starting weights and the order.
        probabilities: predicted label distribution of the test items, float [I, C].
        annotator_rates: predicted share of positive labels that each annotator would give the test items,
            float [A]; None where the method does not know annotators.
        seconds: training time.
        trainable_parameters: adapter and head.
    """

    method: str
    seed: int
    probabilities: np.ndarray
    annotator_rates: np.ndarray | None
    seconds: float
    trainable_parameters: int


def run_all(
    data: DemoData,
    seeds: Sequence[int],
    *,
    console: Console,
    keep: Callable[[Method, int, TrainedAdapter], None],
    base_model: str = BASE_MODEL,
) -> list[Run]:
    """Train and test every method with every seed, with a progress bar.

    Args:
        data: the world.
        seeds: one training of each method per seed.
        console: where the progress bar is drawn.
        keep: called with each trained adapter.
        base_model: as for `train_adapter`.
    """
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    runs = []
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("Training", total=len(seeds) * len(METHODS))
        for seed in seeds:
            for method in METHODS:
                progress.update(bar, description=f"Training {method.name}, seed {seed}")
                adapter = _train(data, method, seed, base_model)
                keep(method, seed, adapter)
                runs.append(_test(data, method, seed, adapter))
                progress.advance(bar)
        progress.update(bar, description="Trained and tested")
    return runs


def _train(data: DemoData, method: Method, seed: int, base_model: str) -> TrainedAdapter:
    return train_adapter(
        data.judge(seed),
        None,
        base_model=base_model,
        method=method.key,
        adapter=method.adapter,
        training=training_settings(method.learning_rate, seed),
        max_length=MAX_LENGTH,
        progress=False,
    )


def _test(data: DemoData, method: Method, seed: int, adapter: TrainedAdapter) -> Run:
    probabilities = predict_distribution(adapter, data.test)
    rates = annotator_rates(data, adapter) if method.key == "dcpc" else None
    return Run(method.name, seed, probabilities, rates, adapter.seconds, adapter.trainable_parameters)


def annotator_rates(data: DemoData, adapter: TrainedAdapter) -> np.ndarray:
    """Predicted share of positive labels that each annotator would give the test items, float [A]."""
    n_items, names = len(data.test), data.names
    item_codes = np.repeat(np.arange(n_items), len(names))
    each = predict_annotators(adapter, data.test, item_codes, names * n_items)  # [I·A, C]
    return each[:, 1].reshape(n_items, len(names)).mean(axis=0)
