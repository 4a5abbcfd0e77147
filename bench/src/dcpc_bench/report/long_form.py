"""The results as data: one row per cell and metric, and one row per cell."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from dcpc.files import atomic_file
from dcpc_bench.report.results import Results

RESULT_COLUMNS = ("suite", "dataset", "condition", "method", "seed", "metric", "value")


def results_frame(results: Results) -> pd.DataFrame:
    """One row per cell and metric: suite, dataset, condition, method, seed, metric, value."""
    rows = [
        (results.suite, *cell.column, cell.method, cell.seed, metric, value)
        for cell in results.cells
        for metric, value in cell.metrics.items()
    ]
    return pd.DataFrame(rows, columns=list(RESULT_COLUMNS)).astype({"seed": "int64", "value": "float64"})


def cells_frame(results: Results) -> pd.DataFrame:
    """One row per cell, failed ones included.

    Columns: suite, dataset, condition, method, seed, status (done or failed), reason, parameters (trainable),
    steps, seconds, memory_mib, precision, device, setting (JSON), on_edge (JSON), commit. Figures are NaN for
    failed cells.
    """
    names = "suite dataset condition method seed status reason parameters steps seconds memory_mib precision"
    columns = [*names.split(), "device", "setting", "on_edge", "commit"]
    rows: list[tuple[object, ...]] = [
        (
            results.suite,
            *c.column,
            c.method,
            c.seed,
            "done",
            None,
            *(c.parameters, c.steps, c.seconds, c.memory_mib, c.precision, c.device),
            *(json.dumps(c.setting, sort_keys=True), json.dumps(list(c.on_edge)), c.commit),
        )
        for c in results.cells
    ]
    nothing = (float("nan"),) * 4 + (None,) * 5
    rows += [
        (results.suite, *f.column, f.method, f.seed, "failed", f.reason, *nothing) for f in results.failures
    ]
    return pd.DataFrame(rows, columns=columns)


def write_long_form(results: Results, folder: Path) -> None:
    """Write `results.parquet` and `cells.parquet`, each whole or not at all."""
    for name, frame in (("results", results_frame(results)), ("cells", cells_frame(results))):
        with atomic_file(folder / f"{name}.parquet") as path:
            frame.to_parquet(path, index=False)
