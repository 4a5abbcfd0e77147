"""Run what is missing, in an order that gives a first table early, and write the results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from dcpc.benchmark.cells import Cell, open_store, run_cell
from dcpc.benchmark.methods import METHODS, Settings
from dcpc.benchmark.summary import to_markdown
from dcpc.data.annotations import Annotations
from dcpc.errors import UsageError
from dcpc.evaluation.splits import Budget, split_by_item
from dcpc.files import atomic_file

STORE_VERSION = 1
"""Rises when cells of an older version cannot be compared with new ones."""


def run_benchmark(
    annotations: Annotations,
    settings: Settings,
    output: Path,
    *,
    methods: Sequence[str],
    budgets: Sequence[Budget] = (1, "all"),
    n_seeds: int = 3,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Run every cell that `output` does not hold yet; stop it anywhere and call it again to go on.

    Writes `cells/` (one file each), `results.jsonl` (long form: method, budget, seed, metric, value) and
    `results.md`, both anew after each seed. The first method is the reference of the comparisons.

    Raises:
        UsageError: an unknown method, or a folder with another benchmark.
        DataError: too few items to split.
    """
    check_methods(methods)
    split_by_item(annotations, 0)  # too few items must not fail cell by cell
    plan = {"data": _fingerprint(annotations), "store": STORE_VERSION, **asdict(settings)}
    open_store(output / "cells", plan)
    results = []
    with tqdm(
        total=n_seeds * len(budgets) * len(methods), desc="benchmark", unit="cell", disable=not progress
    ) as bar:
        for seed in range(n_seeds):
            for cell in [Cell(b, m, seed) for b in budgets for m in methods]:
                results.append(run_cell(cell, annotations, settings, output / "cells"))
                bar.update()
            _write(results, output, methods[0])
    return results


def check_methods(methods: Sequence[str]) -> None:
    """Raise UsageError, with the nearest name, for a method that the benchmark does not have."""
    if not methods:
        raise UsageError("no method was given", fix=f"Choose among: {', '.join(METHODS)}.")
    for name in methods:
        if name not in METHODS:
            near = get_close_matches(name, METHODS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UsageError(f'there is no method "{name}".{hint}', fix=f"Methods: {', '.join(METHODS)}.")


def _fingerprint(annotations: Annotations) -> str:
    rows = pd.util.hash_pandas_object(annotations.table.astype(str), index=False).to_numpy()
    return hashlib.sha256(rows.tobytes() + repr((annotations.labels, annotations.scale)).encode()).hexdigest()


def _write(results: Sequence[dict[str, Any]], output: Path, reference: str) -> None:
    with atomic_file(output / "results.jsonl") as path, path.open("w") as file:
        for r in results:
            named = {name: r[name] for name in ("method", "budget", "seed")}
            for metric, value in r.get("metrics", {}).items():
                file.write(json.dumps({**named, "metric": metric, "value": value}) + "\n")
    with atomic_file(output / "results.md") as path:
        path.write_text(to_markdown(results, reference))
