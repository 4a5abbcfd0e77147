"""What a benchmark's store says, as typed values; unknown kinds of records are passed over."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from dcpc.errors import DataError, UsageError
from dcpc_bench.report.results import Cell, Column, Failure, Results, Selection, TestItems, ended
from dcpc_bench.rig.store import Record, Store, key_of


def read_results(folder: Path) -> Results:
    """Read a store.

    Args:
        folder: with `plan.json` and `records.jsonl`, as far as the run has got.

    Raises:
        UsageError: no store there, one of another version, or a line that is no record.
        DataError: a record that lacks something; with its kind, data set, condition, method and seed.
    """
    store = Store(folder)
    plan, records = store.plan, store.records()
    if plan is None or not records:
        raise UsageError(
            "no records of a benchmark are here.", where=folder, fix="Name the --output of a benchmark."
        )
    return _results(plan, records.values(), folder)


def _results(plan: Record, records: Iterable[Record], folder: Path) -> Results:
    cells, failures, splits, selections = [], [], {}, []
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
                reason = " ".join(record["reason"].split())
                failures.append(Failure(column, record["method"], record["seed"], reason))
        except (KeyError, TypeError, ValueError) as error:
            what = ", ".join(str(part) for part in key_of(record) if part is not None)
            raise DataError(
                f"the record of {what} lacks or garbles {error}",
                where=folder / "records.jsonl",
                fix="Remove its line; its cell is run again.",
            ) from error
    suite = plan["suite"]
    planned = _planned(suite)
    order = _order(planned, [(run.column, run.method) for run in ended(cells, failures)])
    cells.sort(key=lambda c: (order(c.column, c.method), c.seed))
    return Results(
        suite["name"] or "benchmark", plan, tuple(cells), tuple(failures), splits, tuple(selections), planned
    )


def _cell(record: Record, column: Column) -> Cell:
    person = record["person_errors"]
    p = np.array(record["distribution"], dtype=np.float64)
    return Cell(
        column,
        record["method"],
        int(record["seed"]),
        {name: float(value) for name, value in record["metrics"].items()},
        dict(record["setting"]),
        tuple(record["on_edge"]),
        float(record["parameters"]),
        float(record["steps"]),
        float(record["seconds"]),
        float(record["memory_mib"]),
        record["precision"],
        record["device"],
        record["commit"],
        tuple(
            (float(h["epoch"]), float(h["eval_loss"]))
            for h in record["history"]
            if h["eval_loss"] is not None and h["epoch"] is not None
        ),
        p / p.sum(axis=1, keepdims=True),
        np.array(record["decisions"], dtype=np.int64),
        None if person is None else np.array(person, dtype=np.float64),
    )


def _selection(record: Record, column: Column) -> Selection:
    losses = [trial["loss"] for trial in record["trials"]]
    lowest = min((loss for loss in losses if loss is not None), default=float("nan"))
    edge = tuple(record["on_edge"])
    return Selection(column, record["method"], dict(record["setting"]), edge, len(losses), lowest)


def _planned(suite: dict[str, Any]) -> dict[tuple[Column, str], int]:
    """Seeds of every column and method that a suite asks for."""
    return {
        (Column(dataset["name"], condition), method): suite["seeds"]
        for dataset in suite["datasets"]
        for condition in dataset["conditions"] or suite["conditions"]
        for method in suite["methods"]
    }


def _order(planned: Iterable[tuple[Column, str]], seen: Iterable[tuple[Column, str]]) -> Any:
    """Sorting key of a column and method: as planned, the rest as it came."""
    keys = [*planned, *seen]
    columns = {column: i for i, column in enumerate(dict.fromkeys(k[0] for k in keys))}
    methods = {method: i for i, method in enumerate(dict.fromkeys(k[1] for k in keys))}
    return lambda column, method: (columns[column], methods[method])
