"""The pieces of work of a suite, in an order that gives a first full table early."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dcpc_bench.rig.store import Key
from dcpc_bench.rig.suite import Dataset, Suite

if TYPE_CHECKING:
    from dcpc_bench.method import Method


@dataclass(frozen=True)
class Job:
    """A search (of one data set, condition and method; no seed) or a cell (of one seed as well).

    A cell's settings come from the search of `searched_as` in `searched_in`, by default its own method and condition.
    """

    kind: Literal["search", "cell"]
    dataset: str
    condition: str
    method: str
    seed: int | None = None
    searched_in: str | None = None
    searched_as: str | None = None

    @property
    def key(self) -> Key:
        """The key of the record that the job ends in."""
        return (self.kind, self.dataset, self.condition, self.method, self.seed)

    @property
    def search(self) -> Job:
        """The search that chooses the setting of a cell."""
        return Job(
            "search", self.dataset, self.searched_in or self.condition, self.searched_as or self.method
        )

    @property
    def fields(self) -> dict[str, str | int | None]:
        """The fields of a record that say which job it is of."""
        named: dict[str, str | int | None] = {
            "kind": self.kind,
            "dataset": self.dataset,
            "condition": self.condition,
            "method": self.method,
        }
        return named | ({"seed": self.seed} if self.kind == "cell" else {})


def jobs(suite: Suite) -> list[Job]:
    """All cells: seed by seed, so that one seed makes a full table; within a seed the cheap methods first."""
    from dcpc_bench.methods import METHODS

    found = [
        (seed, _cost(METHODS.get(method)), number, dataset, condition, method)
        for seed in range(suite.seeds)
        for dataset in suite.datasets
        for number, condition in enumerate(suite.conditions_of(dataset))
        for method in suite.methods
    ]
    found.sort(key=lambda cell: cell[:3])  # stable
    return [
        Job(
            "cell",
            d.name,
            condition,
            method,
            seed,
            _searched_in(suite, d, condition, METHODS.get(method)),
            METHODS[method].searched_as if method in METHODS else None,
        )
        for seed, _, _, d, condition, method in found
    ]


def _searched_in(suite: Suite, dataset: Dataset, condition: str, method: Method | None) -> str:
    """The shared condition of a suite has as a rule one judgement per item, with which some methods cannot train."""
    if method is not None and method.needs_overlap:
        return condition
    return suite.searched_in(dataset, condition)


def _cost(method: Method | None) -> int:
    """What is no network needs one pass over the texts."""
    return 0 if method is not None and method.fit is not None else 1
