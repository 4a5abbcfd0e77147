"""One setting per data set, condition and method, chosen on noisy validation labels with the same effort for all.

Successive halving (Jamieson, Talwalkar 2016, "Non-stochastic best arm identification and hyperparameter
optimization"): every method gets the same number of settings from its grid; each rung trains those that are left
for a larger share of the epochs and keeps the best by validation cross-entropy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from scipy.stats import qmc

from dcpc.errors import TrainingError
from dcpc.grid import on_edge
from dcpc_bench.rig.suite import Search

Setting = dict[str, Any]


def draw_trials(grid: Mapping[str, Sequence[Any]], n: int, seed: int = 0) -> list[Setting]:
    """`n` different points of a grid from Latin hypercubes; all points if it has fewer.

    Every axis is covered evenly by itself, however many axes a method has: a hypercube has as many points as the
    longest axis has values, so that each tries every learning rate once, at another strength of the other axes than
    the hypercube before. More trials are the same ones and others.

    Args:
        grid: values of every axis, in order from weak to strong.
        n: number of points.
        seed: of the hypercubes.
    """
    sizes = [len(values) for values in grid.values()]
    if math.prod(sizes) <= n:
        return [dict(zip(grid, point, strict=True)) for point in product(*grid.values())]
    chosen: dict[tuple[int, ...], None] = {}
    hypercube = qmc.LatinHypercube(len(sizes), rng=seed)
    while len(chosen) < n:
        points = (hypercube.random(max(sizes)) * sizes).astype(int)  # [longest axis, axes]
        for point in np.minimum(points, np.array(sizes) - 1):
            if len(chosen) < n:
                chosen[tuple(map(int, point))] = None
    return [
        {name: values[i] for (name, values), i in zip(grid.items(), point, strict=True)} for point in chosen
    ]


def rungs(n: int, search: Search) -> list[tuple[int, float]]:
    """How many settings each rung trains and for which share of the epochs; none where there is nothing to choose."""
    if n == 1:
        return []
    plan = []
    for fraction in search.fractions:
        plan.append((n, fraction))
        n = max(1, math.ceil(n * search.keep))
    return plan


def select(
    grid: Mapping[str, Sequence[Any]],
    search: Search,
    epochs: float,
    loss_of: Callable[[Setting, float], float],
) -> dict[str, Any]:
    """Run the search.

    Args:
        grid: values of every axis of the method.
        search: trials and rungs, the same for every method.
        epochs: of a full training.
        loss_of: trains with a setting for so many epochs; the cross-entropy on noisy validation labels.

    Returns:
        `trials` (every training: setting, epochs, loss or None where it diverged), the chosen `setting` and
        its axes `on_edge`.

    Raises:
        TrainingError: no setting reached a finite loss.
    """
    alive = draw_trials(grid, search.trials)
    trials: list[dict[str, Any]] = []
    for size, fraction in rungs(len(alive), search):
        losses = []
        for setting in alive[:size]:
            loss = _finite(loss_of, setting, epochs * fraction)
            losses.append(loss)
            trials.append(
                {
                    "setting": setting,
                    "epochs": epochs * fraction,
                    "loss": loss if math.isfinite(loss) else None,
                }
            )
        order = np.argsort(losses, kind="stable")
        alive = [alive[i] for i in order if math.isfinite(losses[i])]
        if not alive:
            raise TrainingError("no setting of the grid reached a finite validation loss")
    return {"trials": trials, "setting": alive[0], "on_edge": on_edge(grid, alive[0])}


def _finite(loss_of: Callable[[Setting, float], float], setting: Setting, epochs: float) -> float:
    try:
        loss = loss_of(setting, epochs)
    except TrainingError:  # diverged: the others may not
        return math.inf
    return loss if math.isfinite(loss) else math.inf
