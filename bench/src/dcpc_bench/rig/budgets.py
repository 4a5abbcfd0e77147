"""Whether methods had equal budgets: trained numbers within 20 % of the backbone's, and as many steps (protocol)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

TOLERANCE = 0.2
"""How far the trained parameters of PEFT methods may be from those of the backbone."""
FREE = ("full", "linear-probe", "linear-probe-annotators", "dcpc-readout")
"""Methods that are no PEFT: their parameters are what they are, and those of regressions take no steps."""


class Budget(NamedTuple):
    """What one cell spent.

    Attributes:
        group: what its rivals share: data set and condition; seeds change neither size nor steps.
        method: its name.
        parameters: numbers that were trained.
        steps: of the optimizer.
    """

    group: tuple[str, str]
    method: str
    parameters: float
    steps: float


def uneven(budgets: Iterable[Budget], backbone: str) -> list[str]:
    """A sentence on parameters and one on steps, each naming the methods that differ by their worst cell.

    Args:
        budgets: of cells that ended well.
        backbone: the method whose size is the measure; where a group lacks it, its smallest method is.
    """
    groups: dict[tuple[str, str], list[Budget]] = {}
    for budget in budgets:
        if budget.method not in FREE:
            groups.setdefault(budget.group, []).append(budget)
    sizes: dict[str, float] = {}
    steps: dict[str, str] = {}
    for group in groups.values():
        usual = _usual(group, backbone)
        for b in group:
            ratio = b.parameters / usual.parameters - 1
            if abs(ratio) > max(TOLERANCE, abs(sizes.get(b.method, 0.0))):
                sizes[b.method] = ratio
            if b.steps != usual.steps:
                steps[b.method] = f"{b.method} {b.steps:g} where {usual.steps:g} are usual"
    found = []
    if sizes:
        alone = all(any(b.method == backbone for b in group) for group in groups.values())
        measure = f"{backbone}'s" if alone else f"{backbone}'s (the smallest method's where it has no cell)"
        named = ", ".join(f"{method} {ratio:+.0%}" for method, ratio in sizes.items())
        found.append(
            f"Not equal: trained parameters are more than {TOLERANCE:.0%} from {measure} in some cells: {named}."
        )
    if steps:
        found.append(f"Not equal: steps of {', '.join(steps.values())}.")
    return found


def _usual(group: list[Budget], backbone: str) -> Budget:
    own = [b for b in group if b.method == backbone]
    if own:
        return own[0]
    steps = float(np.median([b.steps for b in group]))
    return Budget(group[0].group, "", min(b.parameters for b in group), steps)
