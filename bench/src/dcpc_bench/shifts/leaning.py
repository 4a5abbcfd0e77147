"""Annotators with a bias for one alternative, as those of COPA-BS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dcpc.data.counts import one_hot
from dcpc.errors import UsageError
from dcpc_bench.shifts.assignment import Assignment
from dcpc_bench.shifts.items import CleanItems
from dcpc_bench.shifts.pool import LabelModel

COLUMN = "leaning"
"""Of the items: label code that each leans to, −1 for neither."""


@dataclass(frozen=True)
class LeaningPool:
    """Biased annotators take the alternative that an item leans to with probability strength · bias.

    What an item leans to stands in its column `leaning`, which the task's reader makes.

    Attributes:
        strength: the dial in [0, 1].
        bias: probability at full strength that a biased annotator follows the leaning.
        group_share: share of annotators in the biased group.
    """

    strength: float = 1.0
    bias: float = 0.7
    group_share: float = 0.5

    name: ClassVar[str] = "leaning"

    @property
    def asked_noise(self) -> None:
        """None: the noise rate follows from how many items lean against their gold label."""
        return

    def label_model(self, items: CleanItems, asked: Assignment, rng: np.random.Generator) -> LabelModel:
        """Label probabilities, float [J, C], and each annotator's `annotator_group`.

        Raises:
            UsageError: the items do not say what they lean to.
        """
        if COLUMN not in items.table:
            raise UsageError("this pool needs items that lean to an alternative, as those of COPA.")
        members = np.arange(asked.n_annotators) < round(self.group_share * asked.n_annotators)
        biased = rng.permutation(members)  # [A]
        leaning = items.table[COLUMN].to_numpy(dtype=int)[asked.item]  # [J]
        chance = (self.strength * self.bias * (biased[asked.annotator] & (leaning >= 0)))[:, None]  # [J, 1]
        clean, pull = (one_hot(codes, items.n_classes) for codes in (items.codes[asked.item], leaning))
        groups = np.where(biased, "people_causes", "neutral")
        return LabelModel((1 - chance) * clean + chance * pull, {"annotator_group": groups})
