"""How strongly to shrink weights and effects of annotators: by cross-validation on noisy judgements.

Every held-out judgement is predicted twice: as anybody's, by the consensus, and as its annotator's. The criterion is
the mean cross-entropy of the two, which are the same without effects. The consensus alone would not do: where strict
and lenient annotators disagree much, it is near one half for every item, however well the items are understood.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dcpc.evaluation.distribution import SMALLEST
from dcpc.evaluation.selection import Choice, choose_setting
from dcpc.regression.logistic import Judged, fit_logistic

PATIENCE = 2
"""Weaker ridges that are tried after the best so far: the loss is nearly convex along the path, and they are slow."""


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
        effect_ridges: grid of λ_u, from weak to strong; None: no effects.
    """
    known: dict[tuple[float, float | None], tuple[float, np.ndarray]] = {}

    def loss(ridge: float, effect_ridge: float | None) -> float:
        if (ridge, effect_ridge) not in known:
            known[ridge, effect_ridge] = _held_out(judged, folds, ridge, effect_ridge)
        return known[ridge, effect_ridge][0]

    choice = _along("ridge", ridges, lambda r: loss(r, None))
    ridge, effect_ridge = choice.setting["ridge"], None
    if effect_ridges is not None:
        of_effects = _along("effect_ridge", effect_ridges, lambda u: loss(ridge, u))
        choice = _along("ridge", ridges, lambda r: loss(r, of_effects.setting["effect_ridge"]))
        ridge = choice.setting["ridge"]
        of_effects = _along("effect_ridge", effect_ridges, lambda u: loss(ridge, u))
        effect_ridge = of_effects.setting["effect_ridge"]
        # The strong end of this grid is no effect at all, so nothing better can lie beyond it.
        on_edge = () if effect_ridge == effect_ridges[-1] else of_effects.on_edge
        choice = Choice(choice.setting | of_effects.setting, of_effects.loss, choice.on_edge + on_edge)
    return ChosenRidges(ridge, effect_ridge, choice, known[ridge, effect_ridge][1])


def _along(name: str, grid: Sequence[float], loss: Callable[[float], float]) -> Choice:
    """The best of a grid, from its strong end on, until the loss has risen for good."""
    losses = np.full(len(grid), np.inf)
    for position in reversed(range(len(grid))):
        losses[position] = loss(grid[position])
        if position + PATIENCE < len(grid) and losses.argmin() >= position + PATIENCE:
            break
    return choose_setting({name: grid}, losses)


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
            total += _surprise(own, rest.labels)
    of_consensus = _surprise(consensus[judged.items], judged.labels)
    total = of_consensus if effect_ridge is None else (total + of_consensus) / 2
    return total / len(judged.labels), consensus


def _surprise(p: np.ndarray, labels: np.ndarray) -> float:
    return float(-np.log(np.maximum(p[np.arange(len(labels)), labels], SMALLEST)).sum())
