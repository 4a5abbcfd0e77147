"""Label smoothing (Szegedy et al. 2016): the shares of the votes, drawn towards the uniform distribution."""

from __future__ import annotations

import numpy as np

from dcpc.training.rule import LearningRule
from dcpc_bench.method import Method, Setting, TrainingSettings, grid
from dcpc_bench.methods.parts.item_targets import ItemTargets, unweighted


def smoothed(shares: np.ndarray, strength: float) -> np.ndarray:
    """(1 − ε) t + ε / C of label distributions t [I, C]; ε is the strength."""
    return (1 - strength) * shares + strength / shares.shape[1]


def _rule(settings: TrainingSettings, setting: Setting, seed: int) -> LearningRule:
    strength = setting.get("strength", 0.1)
    return ItemTargets(lambda train: unweighted(smoothed(train.soft_labels, strength)))


METHOD = Method(
    "label-smoothing",
    "Szegedy et al. 2016",
    "the shares of the votes, smoothed",
    rule=_rule,
    grid=grid(strength=(0.05, 0.1, 0.2)),
)
