"""How strongly to shrink weights and effects of annotators: by cross-validation on noisy judgements.

Every held-out judgement is predicted twice: as anybody's, by the consensus, and as its annotator's. The criterion is
the mean cross-entropy of the two, which are the same without effects. The consensus alone would not do: where strict
and lenient annotators disagree much, it is near one half for every item, however well the items are understood.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dcpc.errors import UsageError
from dcpc.grid import on_edge
from dcpc.probabilities import SMALLEST
from dcpc.regression.logistic import Judged, fit_logistic

PATIENCE = 2
"""Weaker ridges that are tried after the best so far: the loss is nearly convex along the path, and they are slow."""


@dataclass(frozen=True)
class Choice:
    """The setting with the lowest loss on held-out judgements.

    Attributes:
        setting: the chosen value of every axis of the grid.
        loss: its mean cross-entropy.
        on_edge: axes whose optimum may lie outside the grid, as `dcpc.grid.on_edge` has it.
    """

    setting: dict[str, float]
    loss: float
    on_edge: tuple[str, ...]


@dataclass(frozen=True)
class ChosenRidges:
    """What cross-validation chose.

    Attributes:
        ridge: λ_w.
        effect_ridge: λ_u; None without effects.
        choice: both as a setting, its loss, and whether one lies on the edge of its grid.
        held_out: consensus of every item by a probe that did not see it, float [I, C].
    """

    ridge: float
    effect_ridge: float | None
    choice: Choice
    held_out: np.ndarray


def choose_ridges(
    judged: Judged,
    folds: np.ndarray,
    ridges: Sequence[float],
    effect_ridges: Sequence[float] | None = None,
) -> ChosenRidges:
    """Search λ_w without effects, then λ_u, λ_w and λ_u again, each at the best of the other.

    Args:
        judged: the judgements.
        folds: fold of every item, int [I].
        ridges: grid of λ_w, from weak to strong.
        effect_ridges: grid of λ_u, from weak to strong, the strongest as good as no effect; None: no effects.

    Raises:
        UsageError: no ridge has a finite loss.
    """
    known: dict[tuple[float, float | None], tuple[float, np.ndarray]] = {}

    def loss(ridge: float, effect_ridge: float | None) -> float:
        if (ridge, effect_ridge) not in known:
            known[ridge, effect_ridge] = _held_out(judged, folds, ridge, effect_ridge)
        return known[ridge, effect_ridge][0]

    grid = {"ridge": ridges}
    ridge, effect_ridge = _along(ridges, lambda r: loss(r, None)), None
    setting = {"ridge": ridge}
    if effect_ridges is not None:
        grid["effect_ridge"] = effect_ridges
        effect_ridge = _along(effect_ridges, lambda u: loss(ridge, u))
        ridge = _along(ridges, lambda r: loss(r, effect_ridge))
        effect_ridge = _along(effect_ridges, lambda u: loss(ridge, u))
        setting = {"ridge": ridge, "effect_ridge": effect_ridge}
    least, held_out = known[ridge, effect_ridge]
    # The strong end of the effects' grid is no effect at all, so nothing better can lie beyond it.
    edges = on_edge(grid, setting, bounded=("effect_ridge",))
    return ChosenRidges(ridge, effect_ridge, Choice(setting, least, tuple(edges)), held_out)


def _along(grid: Sequence[float], loss: Callable[[float], float]) -> float:
    """The best of a grid, from its strong end on, until the loss has risen for good."""
    losses = np.full(len(grid), np.inf)
    for position in reversed(range(len(grid))):
        losses[position] = loss(grid[position])
        if position + PATIENCE < len(grid) and losses.argmin() >= position + PATIENCE:
            break
    finite = np.where(np.isfinite(losses), losses, np.inf)
    if not np.isfinite(finite.min()):
        raise UsageError("no setting of the grid reached a finite validation loss")
    return grid[int(finite.argmin())]


def _held_out(
    judged: Judged, folds: np.ndarray, ridge: float, effect_ridge: float | None
) -> tuple[float, np.ndarray]:
    """The criterion in nats per judgement, and the consensus of every item [I, C]."""
    # What nobody has learned anything about is uniform: the items of a training set of a single fold.
    consensus = np.full((len(folds), judged.n_classes), 1 / judged.n_classes)
    total = 0.0
    for fold in np.unique(folds):
        inside = folds == fold
        seen, rest = judged.of_items(~inside), judged.of_items(inside)
        if len(seen.labels) == 0:
            continue
        model = fit_logistic(seen, ridge, effect_ridge)
        consensus[inside] = model.consensus(rest.features)
        if effect_ridge is not None:
            own = model.of_annotator(rest.features[rest.items], rest.annotators)
            total += _surprise(own, rest)
    of_consensus = _surprise(consensus[judged.items], judged)
    total = of_consensus if effect_ridge is None else (total + of_consensus) / 2
    return total / judged.weight.sum(), consensus


def _surprise(p: np.ndarray, judged: Judged) -> float:
    """Minus the log-likelihood of the judgements under predictions [J, C], in nats."""
    own = p[np.arange(len(judged.labels)), judged.labels]
    return float(-(judged.weight * np.log(np.maximum(own, SMALLEST))).sum())
