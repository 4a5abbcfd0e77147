"""The demo's annotators: three preference groups that draw the line between negative and positive elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit

from dcpc_bench.shifts.assignment import Assignment
from dcpc_bench.shifts.items import CleanItems
from dcpc_bench.shifts.pool import LabelModel

GROUPS: dict[str, float] = {"lenient": -0.5, "neutral": 0.0, "strict": 0.5}
"""Mean threshold of each group, on the scale of sentiment strength."""


@dataclass(frozen=True)
class PreferenceGroups:
    r"""Annotators of two labels, each with a threshold t_a on the sentiment strength s_i.

    P(positive | item i, annotator a) = sigmoid((s_i − t_a) / noise)

    Thresholds t_a ~ N(group's mean, spread²); groups are of equal size and lie evenly around 0, so the
    annotators as a whole draw the line where the clean label does.

    Attributes:
        thresholds: t_a, float [A].
        groups: each annotator's group, [A].
        noise: scale of the logistic noise of one judgement, in units of strength.
        strength: the dial that every pool has; here always 1.
    """

    thresholds: np.ndarray
    groups: np.ndarray
    noise: float = 0.08
    strength: float = 1.0

    name: ClassVar[str] = "preference_groups"

    @classmethod
    def draw(cls, per_group: int, seed: int, *, spread: float = 0.08) -> PreferenceGroups:
        """A pool of `per_group` annotators in each of the three groups, in random order."""
        rng = np.random.default_rng(seed)
        groups = rng.permutation(np.repeat(list(GROUPS), per_group))  # [A]
        means = np.array([GROUPS[group] for group in groups])
        return cls(means + spread * rng.standard_normal(len(groups)), groups)

    @property
    def asked_noise(self) -> None:
        """None: the noise rate follows from where the items lie between the thresholds."""
        return

    def positive_probability(self, strength: np.ndarray) -> np.ndarray:
        """P(positive) of each item by each annotator, float [I, A], from strengths [I]."""
        return expit((strength[:, None] - self.thresholds) / self.noise)

    def label_model(self, items: CleanItems, asked: Assignment, rng: np.random.Generator) -> LabelModel:
        """Label probabilities, float [J, 2]; the items' `scores` are their strengths."""
        assert items.scores is not None, "the demo's items carry their strength as scores"
        positive = self.positive_probability(items.scores)[asked.item, asked.annotator]  # [J]
        return LabelModel(np.stack([1 - positive, positive], axis=1))
