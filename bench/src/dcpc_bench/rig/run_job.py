"""What a search and a cell compute: from the data set's name to the records of the store."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dcpc.data.annotations import Annotations
from dcpc.errors import DCPCError
from dcpc.evaluation.measure import measure
from dcpc.grid import on_edge
from dcpc_bench.rig.cell_data import CellData, cell_data
from dcpc_bench.rig.device import device_name, peak_memory
from dcpc_bench.rig.jobs import Job
from dcpc_bench.rig.search import select
from dcpc_bench.rig.sources import load_source
from dcpc_bench.rig.store import Record
from dcpc_bench.rig.suite import Suite

if TYPE_CHECKING:
    from dcpc_bench.fitted import Fitted
    from dcpc_bench.method import Method, TrainingSettings

DIGITS = 6
"""Decimals of losses."""


def run_job(job: Job, suite: Suite, data_folder: Path | None, setting: dict[str, Any] | None) -> list[Record]:
    """The records of a job; a failure of any kind is a record with its reason.

    Args:
        job: the search or cell.
        suite: the suite it belongs to.
        data_folder: where data sets lie.
        setting: what the search chose, for a cell.
    """
    started = time.perf_counter()
    try:
        if job.kind == "search":
            search = _search(job, suite, data_folder)
            return [search | {"seconds": round(time.perf_counter() - started, 2)}]
        split, cell = _cell(job, suite, data_folder, setting or {})
    except Exception as error:
        if not isinstance(error, DCPCError):
            import traceback

            traceback.print_exc()  # into the workers' log
        return [failure(job, suite, reason_of(error), time.perf_counter() - started)]
    cell |= {"seconds": round(time.perf_counter() - started, 2), "memory_mib": peak_memory()}
    return [split, cell]


def reason_of(error: Exception) -> str:
    """One line that says what went wrong."""
    text = " ".join(str(error).split())
    return text if isinstance(error, DCPCError) else f"{type(error).__name__}: {text}"


def failure(job: Job, suite: Suite, reason: str, seconds: float = 0.0) -> Record:
    """The record of a search or cell that failed."""
    common: Record = {**job.fields, "status": "failed", "reason": reason, "setting": {}, "on_edge": []}
    if job.kind == "search":
        return common | {"trials": []}
    return common | {
        "suite": suite.name,
        "metrics": {},
        "parameters": 0,
        "steps": 0,
        "seconds": round(seconds, 2),
        "memory_mib": peak_memory(),
        "device": device_name(),
        "history": [],
    }


def _search(job: Job, suite: Suite, data_folder: Path | None) -> Record:
    chosen = suite.setting_of(job.dataset, job.method)
    if chosen is not None:
        found: Record = {"trials": [], "setting": chosen, "on_edge": []}
        return {**job.fields, "status": "done", "reason": None, **found, "device": device_name()}
    method, settings, case = _prepare(job, suite, data_folder, seed=0)
    found = select(
        method.grid,
        suite.search,
        settings.epochs,
        lambda setting, epochs: (
            method.train(
                case.split.train,
                case.split.validation,
                settings.model_copy(update={"epochs": epochs}),
                setting,
                0,
            ).validation_loss
        ),
    )
    return {**job.fields, "status": "done", "reason": None, **found, **_trained_on(settings)}


def _cell(job: Job, suite: Suite, data_folder: Path | None, setting: dict[str, Any]) -> tuple[Record, Record]:
    assert job.seed is not None, "a cell has a seed"
    method, settings, case = _prepare(job, suite, data_folder, job.seed)
    fitted = method.train(case.split.train, case.split.validation, settings, setting, job.seed)
    found = measured(fitted, case)
    cell = {
        **job.fields,
        "suite": suite.name,
        "status": "done",
        "reason": None,
        "setting": {**setting, **fitted.setting},
        "on_edge": [*on_edge(method.grid, setting), *fitted.on_edge],
        **found,
        "parameters": int(fitted.parameters),
        "steps": int(fitted.steps),
        **_trained_on(settings),
        "history": _history(fitted.history),
    }
    return split_record(job, case), cell


def _trained_on(settings: TrainingSettings) -> Record:
    return {"precision": settings.precision, "device": device_name()}


def _prepare(
    job: Job, suite: Suite, data_folder: Path | None, seed: int
) -> tuple[Method, TrainingSettings, CellData]:
    from dcpc_bench.method import TrainingSettings
    from dcpc_bench.methods import METHODS

    dataset = suite.dataset(job.dataset)
    case = cell_data(load_source(dataset, data_folder), dataset, job.condition, seed, suite)
    settings = TrainingSettings(**suite.training.model_dump(), backbone=suite.backbone, task=dataset.task)
    return METHODS[job.method], settings, case


def split_record(job: Job, case: CellData) -> Record:
    """What all methods of a seed share: the test items, and how these and the validation items were judged."""
    test, validation = case.split.test, case.split.validation
    return {
        "kind": "split",
        "dataset": job.dataset,
        "condition": job.condition,
        "seed": job.seed,
        "items": test.item_ids.tolist(),
        "counts": test.counts.tolist(),
        "validation_counts": validation.counts.tolist(),
        "labels": list(test.labels),
        "train_items": case.split.train.n_items,
        "train_judgements": case.split.train.n_judgements,
        "validation_items": case.split.validation.n_items,
        "train_noise": case.train_noise,
        "strength": case.strength,
    }


def measured(fitted: Fitted, case: CellData) -> Record:
    """Metrics of a fitted method, as the product measures them, and what it predicted for test and validation items.

    Every method gets the decision rule that an adapter carries, fitted on the noisy validation labels.
    """
    validation, test = case.split.validation, case.split.test
    seen = fitted.probabilities(validation.items)  # [V, C]
    p, own = _predicted(fitted, test)  # [I, C], [J, C]
    found = measure(p, own, test, fitted.rule(validation))
    metrics = found.figures
    if case.train_noise is not None:
        metrics["train_noise"] = case.train_noise
    wrong = found.wrong
    return {
        "metrics": {name: value for name, value in metrics.items() if math.isfinite(value)},
        "distribution": _rounded(p),
        "validation_distribution": _rounded(seen),
        "decisions": found.decisions.tolist(),
        "person_errors": None
        if wrong is None
        else np.bincount(test.item_codes, weights=wrong, minlength=test.n_items).astype(int).tolist(),
    }


def _predicted(fitted: Fitted, test: Annotations) -> tuple[np.ndarray, np.ndarray | None]:
    """Distributions of the test items [I, C], and of their judgements [J, C] where annotators are known."""
    if not test.has_annotators:
        return fitted.probabilities(test.items), None
    return fitted.judged_probabilities(test.items, test.item_codes, test.table["annotator_id"].tolist())


def _rounded(p: np.ndarray) -> list[list[float]]:
    """Four significant digits, so that logarithms of small probabilities keep them too."""
    return [[float(f"{x:.4g}") for x in row] for row in p.tolist()]


def _history(entries: Iterable[dict[str, Any]]) -> list[dict[str, float | None]]:
    names = ("epoch", "loss", "eval_loss")
    kept = [entry for entry in entries if "loss" in entry or "eval_loss" in entry]
    return [{name: _number(entry.get(name)) for name in names} for entry in kept]


def _number(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), DIGITS)
