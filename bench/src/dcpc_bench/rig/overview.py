"""What the command line prints: equal budgets before the work, means after it."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dcpc_bench.rig.budgets import Budget, uneven
from dcpc_bench.rig.device import most_common
from dcpc_bench.rig.jobs import jobs
from dcpc_bench.rig.search import rungs
from dcpc_bench.rig.store import Record
from dcpc_bench.rig.suite import Suite

SHOWN = {"macro_f1": "macro-F1", "jensen_shannon": "JS div.", "judgement_error": "error"}


def budgets(suite: Suite) -> RenderableType:
    """What every method may spend: trials, epochs, steps; the same for all."""
    from dcpc_bench.methods import METHODS

    search, training = suite.search, suite.training
    table = Table(
        "Method", "on", "grid", "search, trials×epochs", "training, epochs", box=SIMPLE_HEAD, padding=(0, 1)
    )
    for name in suite.methods:
        method = METHODS[name]
        size = math.prod(len(values) for values in method.grid.values())
        effort = " + ".join(
            f"{n}×{f * training.epochs:g}" for n, f in rungs(min(size, search.trials), search)
        )
        own = method.fit is not None  # its cross-validation is its search, and it has no epochs
        effort, epochs = ("its own", "–") if own else (effort, f"{training.epochs:g}")
        if method.searched_as:
            effort = f"as {method.searched_as}"
        if not effort or all(suite.setting_of(each.name, name) is not None for each in suite.datasets):
            effort = "given"
        table.add_row(name, method.on, "–" if own else str(size), effort, epochs)
    found = jobs(suite)
    n, n_searches = len(found), len({job.search.key for job in found})
    where = f"(in {search.condition})" if search.condition else "condition"
    caps = suite.caps.model_dump()
    sizes = ", ".join(f"{side} {'all' if most is None else f'{most:,}'}" for side, most in caps.items())
    return Group(
        f"{suite.name}: {n:,} cells, {n_searches:,} searches. Base model {training.base_model}, "
        f"backbone {suite.backbone}, batches of {training.batch_size}, {training.max_length} tokens. "
        f"Items at most: {sizes}.",
        table,
        f"Search: noisy validation cross-entropy, once per data set, {where} and method, on the split of seed 0.",
    )


def results(suite: Suite, records: Iterable[Record]) -> RenderableType:
    """Means over all cells of a method, and what they cost; the report has the intervals."""
    done = _of(suite, records)
    devices = [r["device"] for r in done if r["status"] == "done"]
    device = most_common(devices)
    table = Table(
        "Method", "cells", *SHOWN.values(), "parameters", "s", "MiB", box=SIMPLE_HEAD, padding=(0, 1)
    )
    for name in suite.methods:
        mine = [r for r in done if r["method"] == name]
        good = [r for r in mine if r["status"] == "done"]
        means = [_mean([r["metrics"].get(metric) for r in good]) for metric in SHOWN]
        sizes = dict.fromkeys(f"{size:,}" for size in sorted({r["parameters"] for r in good}))
        table.add_row(
            name,
            str(len(mine)) if good == mine else f"{len(good)} of {len(mine)}",
            *("–" if m is None else f"{m:.4f}" for m in means),
            " to ".join(list(sizes)[:: max(1, len(sizes) - 1)]) or "–",
            *(_cost(good, field, device) for field in ("seconds", "memory_mib")),
        )
    notes = [f"s and MiB are of the cells on {device}."] if len(set(devices)) > 1 else []
    notes += uneven((_budget(r) for r in done if r["status"] == "done"), suite.backbone)
    failed = [
        f"Failed: {r['dataset']}, {r['condition']}, {r['method']}: {r['reason']}" for r in done if r["reason"]
    ]
    failed = list(dict.fromkeys(failed))
    return Group(table, *map(Text, [*notes, *failed]))


def _cost(cells: Iterable[Record], field: str, device: str | None) -> str:
    # What different devices take does not add up.
    mean = _mean([cell[field] for cell in cells if cell["device"] == device])
    return "–" if mean is None else f"{mean:.0f}"


def _budget(cell: Record) -> Budget:
    group = (cell["dataset"], cell["condition"])
    return Budget(group, cell["method"], cell["parameters"], cell["steps"])


def _of(suite: Suite, records: Iterable[Record]) -> list[Record]:
    wanted = {job.key[1:] for job in jobs(suite)}
    return [
        r
        for r in records
        if r["kind"] == "cell" and (r["dataset"], r["condition"], r["method"], r["seed"]) in wanted
    ]


def _mean(values: Iterable[float | None]) -> float | None:
    found = [v for v in values if v is not None]
    return float(np.mean(found)) if found else None
