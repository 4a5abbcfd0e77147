"""What the command line prints: equal budgets before the work, means after it."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dcpc.benchmark.search import rungs
from dcpc.benchmark.store import Record
from dcpc.benchmark.suite import Suite
from dcpc.benchmark.tasks import cells

TOLERANCE = 0.2
"""How far the trained parameters of PEFT methods may be from those of the backbone (protocol)."""
SHOWN = {"macro_f1": "macro-F1", "jensen_shannon": "JS div.", "annotator_error": "error"}
_FREE = ("full", "linear-probe", "linear-probe-annotators")
"""Methods that are no PEFT: their parameters are what they are."""


def budgets(suite: Suite) -> RenderableType:
    """What every method may spend: trials, epochs, steps; the same for all."""
    from dcpc.benchmark.methods import METHODS

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
        own = method.carrier == "probe"  # its cross-validation is its search, and it has no epochs
        effort, epochs = ("its own", "–") if own else (effort, f"{training.epochs:g}")
        if method.searched_as:
            effort = f"as {method.searched_as}"
        table.add_row(name, method.carrier, "–" if own else str(size), effort, epochs)
    tasks = cells(suite)
    n, n_searches = len(tasks), len({task.search.key for task in tasks})
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
            *(f"{_mean([r[f] for r in good]) or 0:.0f}" for f in ("seconds", "memory_mib")),
        )
    notes = uneven(suite, done)
    failed = [
        f"Failed: {r['dataset']}, {r['condition']}, {r['method']}: {r['reason']}" for r in done if r["reason"]
    ]
    failed = list(dict.fromkeys(failed))
    return Group(table, *map(Text, [*notes, *failed]))


def uneven(suite: Suite, done: Iterable[Record]) -> list[str]:
    """One sentence for every PEFT method whose parameters or steps differ from the usual of its cells.

    Parameters are compared with the median of the PEFT methods of the same data set, condition and seed; more
    than 20 % apart is said. Steps have to be equal.
    """
    groups: dict[tuple, list[Record]] = {}
    for r in done:
        if r["status"] == "done" and r["method"] not in _FREE:
            groups.setdefault((r["dataset"], r["condition"], r["seed"]), []).append(r)
    parameters: dict[str, float] = {}
    steps: dict[str, tuple[int, int]] = {}
    for group in groups.values():
        usual = float(np.median([r["parameters"] for r in group]))
        usual_steps = int(np.median([r["steps"] for r in group]))
        for r in group:
            ratio = r["parameters"] / usual - 1
            if abs(ratio) > max(TOLERANCE, abs(parameters.get(r["method"], 0.0))):
                parameters[r["method"]] = ratio
            if r["steps"] != usual_steps:
                steps[r["method"]] = (r["steps"], usual_steps)
    order = [m for m in suite.methods if m in parameters or m in steps]
    return [
        f"Not equal: {m} trains {parameters[m]:+.0%} parameters against the usual of its cells."
        for m in order
        if m in parameters
    ] + [
        f"Not equal: {m} made {steps[m][0]} steps where {steps[m][1]} are usual." for m in order if m in steps
    ]


def _of(suite: Suite, records: Iterable[Record]) -> list[Record]:
    wanted = {task.key[1:] for task in cells(suite)}
    return [
        r
        for r in records
        if r["kind"] == "cell" and (r["dataset"], r["condition"], r["method"], r["seed"]) in wanted
    ]


def _mean(values: Iterable[float | None]) -> float | None:
    found = [v for v in values if v is not None]
    return float(np.mean(found)) if found else None
