"""Annotator groups that read a feature of the text differently."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dcpc.data.counts import one_hot
from dcpc.errors import UsageError
from dcpc_bench.shifts.assignment import Assignment
from dcpc_bench.shifts.items import CleanItems
from dcpc_bench.shifts.pool import LabelModel


@dataclass(frozen=True)
class GroupBiasPool:
    r"""Group bias: one group of annotators gives items with a textual feature a fixed label more often.

    Model: the pattern that studies of annotator identity report, where the judgement depends on the
    interaction of a group with a surface feature such as dialect (Sap et al. 2022, "Annotators with
    Attitudes", NAACL; Larimore et al. 2021). With f_i = 1 if the feature's pattern occurs in the
    text and g_a = 1 for members of the biased group:

        P(label | i, a) = (1 − ρ) · onehot(clean_i) + ρ · onehot(target),   ρ = strength · bias · f_i · g_a

    Attributes:
        strength: the dial in [0, 1].
        bias: probability at full strength that a biased annotator gives the target label to a marked item.
        feature: regular expression, searched ignoring case; default: the text speaks to or of a person.
        target: the label that marked items get; None: the last label.
        group_share: share of annotators in the biased group.
    """

    strength: float = 1.0
    bias: float = 0.7
    feature: str = r"\b(i|me|my|we|us|our|you|your|he|him|his|she|her|they|them|their|who|people)\b"
    target: str | None = None
    group_share: float = 0.5

    name: ClassVar[str] = "group_bias"

    @property
    def asked_noise(self) -> None:
        """None: the noise rate follows from how many items carry the feature."""
        return

    def label_model(self, items: CleanItems, asked: Assignment, rng: np.random.Generator) -> LabelModel:
        """Label probabilities, float [J, C], and each annotator's `annotator_group`.

        Raises:
            UsageError: if the feature is no regular expression or the target is not a label.
        """
        target = items.labels[-1] if self.target is None else self.target
        if target not in items.labels:
            raise UsageError(f'target "{target}" is not a label.', fix=f"Labels: {', '.join(items.labels)}.")
        marked = self._marked(items)[asked.item]  # [J]
        members = np.arange(asked.n_annotators) < round(self.group_share * asked.n_annotators)
        biased = rng.permutation(members)  # [A]
        chance = self.strength * self.bias * (marked & biased[asked.annotator])  # [J]
        probabilities = (1 - chance)[:, None] * one_hot(items.codes[asked.item], items.n_classes)
        probabilities[:, items.labels.index(target)] += chance
        return LabelModel(probabilities, {"annotator_group": np.where(biased, "biased", "neutral")})

    def _marked(self, items: CleanItems) -> np.ndarray:
        try:
            pattern = re.compile(self.feature, re.IGNORECASE)
        except re.error as error:
            raise UsageError(f'the feature "{self.feature}" is not a regular expression: {error}.') from error
        return np.array([pattern.search(text) is not None for text in items.texts()], dtype=bool)
