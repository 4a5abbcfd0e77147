"""Reading a benchmark's store; an unfinished last line and unknown kinds of records are passed over."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from dcpc.benchmark.report.results import Cell, Column, Failure, Results, Selection, TestItems, ended
from dcpc.errors import DataError, UsageError


def read_results(folder: Path) -> Results:
    """Read a store.

    Args:
        folder: with `records.jsonl`, and `plan.json` where the run has got so far.

    Raises:
        UsageError: no store there.
        DataError: a line that is no record, or a record that lacks something; with its line.
    """
    path, plan_path = folder / "records.jsonl", folder / "plan.json"
    if not path.exists():
        raise UsageError(
            "no records of a benchmark are here.", where=folder, fix="Name the --output of a benchmark."
        )
    try:
        plan = json.loads(plan_path.read_text(encoding="utf-8")) if plan_path.exists() else {}
    except ValueError as error:
        raise DataError(f"is not JSON: {error}", where=plan_path) from error
    records: dict[tuple[Any, ...], dict[str, Any]] = {}  # a repeated cell counts once, as it was last
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            record = json.loads(line)
            key = tuple(record.get(name) for name in ("kind", "dataset", "condition", "method", "seed"))
        except (ValueError, AttributeError) as error:
            raise DataError(f"line {number} is no record: {line[:60]!r}", where=path) from error
        records[key] = record | {"line": number}
    return _results(plan, list(records.values()), path)


def _results(plan: dict[str, Any], records: list[dict[str, Any]], path: Path) -> Results:
    cells, failures, splits, selections = [], [], {}, []
    written = plan.get("suite")
    suite: dict[str, Any] = written if isinstance(written, dict) else {}
    name = suite.get("name") or (written if isinstance(written, str) else "")
    for record in records:
        try:
            column = Column(record["dataset"], record["condition"])
            if record["kind"] == "split":
                splits[column, record["seed"]] = TestItems(
                    *(np.array(record[n]) for n in ("items", "counts"))
                )
            elif record["kind"] == "search":
                selections.append(_selection(record, column))
            elif record["kind"] == "cell" and record["status"] == "done":
                cells.append(_cell(record, column))
            elif record["kind"] == "cell":
                reason = " ".join(str(record.get("reason") or "no reason given").split())
                failures.append(Failure(column, record["method"], record["seed"], reason))
        except (KeyError, TypeError, ValueError) as error:
            what = f"line {record['line']} lacks or garbles {error}"
            raise DataError(what, where=path, fix="Remove that line; its cell is run again.") from error
        name = name or record.get("suite", "")
    order = _order(suite, [(run.column, run.method) for run in ended(cells, failures)])
    cells.sort(key=lambda c: (order(c.column, c.method), c.seed))
    planned = _planned(suite) or _product(cells, failures)
    return Results(
        name or "benchmark", plan, tuple(cells), tuple(failures), splits, tuple(selections), planned
    )


def _cell(record: dict[str, Any], column: Column) -> Cell:
    person = record.get("person_errors")
    p = np.array(record["distribution"], dtype=np.float64)
    return Cell(
        column,
        record["method"],
        int(record["seed"]),
        {name: _number(value) for name, value in record["metrics"].items()},
        dict(record.get("setting") or {}),
        tuple(record.get("on_edge") or ()),
        _number(record.get("parameters")),
        _number(record.get("steps")),
        _number(record.get("seconds")),
        _number(record.get("memory_mib")),
        str(record.get("precision") or ""),
        str(record.get("commit") or "unknown"),
        tuple(
            (float(h["epoch"]), float(h["eval_loss"]))
            for h in record.get("history") or ()
            if h.get("eval_loss") is not None and h.get("epoch") is not None
        ),
        p / p.sum(axis=1, keepdims=True),
        np.array(record["decisions"], dtype=np.int64),
        None if person is None else np.array(person, dtype=np.float64),
    )


def _selection(record: dict[str, Any], column: Column) -> Selection:
    trials = record.get("trials") or []
    losses = [t["loss"] for t in trials if t.get("loss") is not None]
    edge = tuple(record.get("on_edge") or ())
    lowest = min(losses, default=float("nan"))
    return Selection(column, record["method"], dict(record.get("setting") or {}), edge, len(trials), lowest)


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _planned(suite: dict[str, Any]) -> dict[tuple[Column, str], int]:
    """Seeds of every column and method that a suite asks for; empty if it does not say."""
    if not all(name in suite for name in ("datasets", "methods", "seeds")):
        return {}
    seeds = suite["seeds"] if isinstance(suite["seeds"], int) else len(suite["seeds"])
    return {
        (Column(dataset["name"], condition), method): seeds
        for dataset in suite["datasets"]
        for condition in dataset.get("conditions") or suite.get("conditions", [])
        for method in suite["methods"]
    }


def _product(cells: Iterable[Cell], failures: Iterable[Failure]) -> dict[tuple[Column, str], int]:
    """Without a plan: as if every method were to run on all columns with all seeds that are there."""
    runs = ended(cells, failures)
    columns, methods = dict.fromkeys(c.column for c in runs), dict.fromkeys(c.method for c in runs)
    seeds = {c.seed for c in runs}
    return {(column, method): len(seeds) for column in columns for method in methods}


def _order(suite: dict[str, Any], seen: list[tuple[Column, str]]) -> Any:
    """Sorting key of a column and method: as planned, the rest as it came."""
    keys = list(_planned(suite))
    columns = {column: i for i, column in enumerate(dict.fromkeys([k[0] for k in keys + seen]))}
    methods = {method: i for i, method in enumerate(dict.fromkeys([k[1] for k in keys + seen]))}
    return lambda column, method: (columns[column], methods[method])
