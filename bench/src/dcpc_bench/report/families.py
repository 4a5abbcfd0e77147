"""Conditions that belong into one table: a kind of training data, at one or several strengths."""

from __future__ import annotations

from dataclasses import dataclass

from dcpc_bench.report.results import Column


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
