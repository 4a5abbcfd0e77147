"""Nine trainings: every method with every seed, on the same judgements in the same order.

Each training has one thread, and as many run side by side as there are cores: batches this small gain little from
a second thread, and results do not depend on the number of cores.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from dcpc.adapter import TrainedAdapter
from dcpc.fit import train_adapter
from dcpc.prediction import predict_annotators, predict_distribution
from dcpc_bench.demo.data import DemoData
from dcpc_bench.demo.methods import BASE_MODEL, MAX_LENGTH, METHODS, Method, training_settings

MOST_WORKERS = 4
"""Trainings side by side; each holds a base model of its own."""

COLUMNS = (
    SpinnerColumn(),
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeElapsedColumn(),
)


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
    data: DemoData, seeds: Sequence[int], *, console: Console, adapters: Path, base_model: str = BASE_MODEL
) -> list[Run]:
    """Train and test every method with every seed, with a progress bar.

    Args:
        data: the world.
        seeds: one training of each method per seed.
        console: where the progress bar is drawn.
        adapters: folder for the adapters of the first seed.
        base_model: as for `train_adapter`.

    Returns:
        The runs, ordered by seed and then by method.
    """
    tasks = [(method, seed) for seed in seeds for method in METHODS]
    # A fresh interpreter for each worker: a forked one can hang in the threads that torch has already started.
    pool = ProcessPoolExecutor(
        min(os.cpu_count() or 1, MOST_WORKERS, len(tasks)), get_context("spawn"), initializer=_one_thread
    )
    done: dict[tuple[str, int], Run] = {}
    with Progress(*COLUMNS, console=console) as progress, pool:
        bar = progress.add_task("Training", total=len(tasks))
        with _deaf_to_interrupts():
            waiting = [
                pool.submit(
                    _train_and_test,
                    data,
                    method,
                    seed,
                    adapters / method.key if seed == seeds[0] else None,
                    base_model,
                )
                for method, seed in tasks
            ]
        try:
            for future in as_completed(waiting):
                run = future.result()
                done[run.method, run.seed] = run
                progress.update(bar, advance=1, description=f"{run.method}, seed {run.seed}: done")
        except BaseException:
            for worker in active_children():  # else shutting down waits for the trainings that run
                worker.terminate()
            pool.shutdown(cancel_futures=True)
            raise
    return [done[method.name, seed] for method, seed in tasks]


def _one_thread() -> None:
    torch.set_num_threads(1)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes that start in this block ignore a Ctrl-C: it is for their parent, which ends them."""
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def _train_and_test(data: DemoData, method: Method, seed: int, folder: Path | None, base_model: str) -> Run:
    adapter = _train(data, method, seed, base_model)
    if folder is not None:
        adapter.save(folder)
    return _test(data, method, seed, adapter)


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
