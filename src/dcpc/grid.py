"""When a grid was too narrow for what was searched on it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any


def on_edge(
    grid: Mapping[str, Sequence[Any]], setting: Mapping[str, Any], *, bounded: Collection[str] = ()
) -> list[str]:
    """Axes of which the lowest or highest value won: the optimum may lie outside.

    An end beyond which nothing can lie is no edge: a lowest value of 0, and the highest of an axis that is `bounded`.
    Nor has an axis of a single value any: it was not searched.

    Args:
        grid: values of every axis, in order from weak to strong.
        setting: the chosen value of axes, of all or of some.
        bounded: axes whose highest value stands for all that are higher, such as a ridge that leaves nothing.
    """
    return [
        name
        for name, values in grid.items()
        if len(values) > 1
        and name in setting
        and (
            (setting[name] == values[0] and values[0] != 0)
            or (setting[name] == values[-1] and name not in bounded)
        )
    ]
