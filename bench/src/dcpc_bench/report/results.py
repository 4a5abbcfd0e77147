"""What a benchmark's store says, as typed values: cells, failures, test items, what searches chose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from dcpc.data.counts import soft_labels
from dcpc.evaluation.majority import majority_labels
from dcpc_bench.rig.device import most_common


class Column(NamedTuple):
    """A data set under one condition."""

    dataset: str
    condition: str


@dataclass(frozen=True)
class Cell:
    """One run that ended well.

    Attributes:
        column, method, seed: what was run.
        metrics: name to value, NaN where undefined.
        setting: the chosen point of the method's grid; on_edge: its axes that lie on the edge of the grid.
        parameters: trainable ones; steps: optimizer steps; seconds: of the whole cell; memory_mib: its peak.
        precision: `bf16` or `float32` of the training; device: `cpu` or the name of an accelerator; commit: of the
            code.
        history: validation loss by epoch, as (epoch, loss) pairs.
        distribution: predicted for each test item, float [I, C], rows sum to 1.
        decisions: label position per test item, int [I].
        person_errors: judgements of each test item that were predicted wrongly for who gave them, int [I], or
            None where annotators are unknown.
    """

    column: Column
    method: str
    seed: int
    metrics: dict[str, float]
    setting: dict[str, Any]
    on_edge: tuple[str, ...]
    parameters: float
    steps: float
    seconds: float
    memory_mib: float
    precision: str
    device: str
    commit: str
    history: tuple[tuple[float, float], ...]
    distribution: np.ndarray
    decisions: np.ndarray
    person_errors: np.ndarray | None

    @property
    def key(self) -> str:
        """How the page names the cell."""
        return f"{self.column.dataset}/{self.column.condition}/{self.method}/{self.seed}"


class Failure(NamedTuple):
    """A run that could not end, and why."""

    column: Column
    method: str
    seed: int
    reason: str


@dataclass(frozen=True)
class TestItems:
    """The test items of a column and seed.

    Attributes:
        items: ids [I].
        counts: judgements of each with each label, int [I, C].
    """

    items: np.ndarray
    counts: np.ndarray

    @cached_property
    def majority(self) -> np.ndarray:
        """The label with strictly the most judgements, or −1, int [I]."""
        return majority_labels(self.counts)

    @cached_property
    def judgements(self) -> np.ndarray:
        """Number of judgements of each item, [I]."""
        return self.counts.sum(axis=1)

    @cached_property
    def soft_labels(self) -> np.ndarray:
        """Shares of the labels, float [I, C]."""
        return soft_labels(self.counts)


class Selection(NamedTuple):
    """What the search of a method chose on a column."""

    column: Column
    method: str
    setting: dict[str, Any]
    on_edge: tuple[str, ...]
    trials: int
    loss: float


@dataclass(frozen=True)
class Results:
    """Everything that a store says.

    Attributes:
        suite: the suite's name.
        plan: what `plan.json` holds.
        cells: runs that ended well, in the order of the plan.
        failures: runs that did not.
        splits: test items by column and seed.
        selections: one per search.
        planned: number of cells that the plan asks for, per column and method; each is the number of seeds.
    """

    suite: str
    plan: dict[str, Any]
    cells: tuple[Cell, ...]
    failures: tuple[Failure, ...]
    splits: dict[tuple[Column, int], TestItems]
    selections: tuple[Selection, ...]
    planned: dict[tuple[Column, str], int]

    @cached_property
    def columns(self) -> list[Column]:
        """Columns with at least one cell."""
        return list(dict.fromkeys(cell.column for cell in self.cells))

    @cached_property
    def methods(self) -> list[str]:
        """Methods with at least one cell."""
        return list(dict.fromkeys(cell.method for cell in self.cells))

    @cached_property
    def device(self) -> str | None:
        """The one that most cells ran on; None without cells."""
        return most_common(cell.device for cell in self.cells)

    @cached_property
    def _by_method(self) -> dict[tuple[Column, str], dict[int, Cell]]:
        found: dict[tuple[Column, str], dict[int, Cell]] = {}
        for cell in self.cells:
            found.setdefault((cell.column, cell.method), {})[cell.seed] = cell
        return found

    def of(self, column: Column, method: str) -> dict[int, Cell]:
        """Seed to cell of one method on one column; empty if nothing is there yet."""
        return self._by_method.get((column, method), {})

    @property
    def n_planned(self) -> int:
        """Number of cells of the whole plan."""
        return sum(self.planned.values())

    @property
    def missing(self) -> dict[tuple[Column, str], int]:
        """Planned runs that neither ended well nor failed."""
        n_ended = Counter((run.column, run.method) for run in ended(self.cells, self.failures))
        return {key: n - n_ended[key] for key, n in self.planned.items() if n > n_ended[key]}


@dataclass(frozen=True)
class Family:
    """Columns that one table shows.

    Attributes:
        name: the condition without its strength (`budget=1`, `pool=thresholds`, `clean`).
        columns: in the order of the store.
    """

    name: str
    columns: tuple[Column, ...]

    @property
    def title(self) -> str:
        """A heading."""
        kind, _, value = self.name.partition("=")
        if kind == "budget":
            return (
                "Trained on all annotations" if value == "all" else f"Trained on {value} annotation per item"
            )
        if kind == "pool":
            return f"Trained on simulated annotators: {value}"
        return "Trained without any conflict (control)" if self.name == "clean" else f"Trained on {self.name}"

    @property
    def datasets(self) -> list[str]:
        """Names of the data sets."""
        return list(dict.fromkeys(column.dataset for column in self.columns))

    def label(self, column: Column) -> str:
        """What a table calls one of its columns."""
        strength = strength_of(column.condition)
        return column.dataset if strength is None else f"{column.dataset} @ {strength:g}"


def name_of(condition: str) -> str:
    """The condition without its strength."""
    return condition if strength_of(condition) is None else condition.rpartition("@")[0]


def strength_of(condition: str) -> float | None:
    """The number after `@`; None for conditions without one."""
    try:
        return float(condition.rpartition("@")[2]) if "@" in condition else None
    except ValueError:
        return None


def families(columns: list[Column]) -> list[Family]:
    """Columns by the name of their condition, in the order in which they come."""
    found: dict[str, list[Column]] = {}
    for column in columns:
        found.setdefault(name_of(column.condition), []).append(column)
    return [Family(name, tuple(own)) for name, own in found.items()]


def ended(cells: Iterable[Cell], failures: Iterable[Failure]) -> list[Cell | Failure]:
    """Cells and failures in one list."""
    return [*cells, *failures]
