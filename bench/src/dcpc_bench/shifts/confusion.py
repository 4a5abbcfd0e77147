"""Annotators with their own Dirichlet confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dcpc.data.counts import one_hot
from dcpc_bench.shifts.assignment import Assignment
from dcpc_bench.shifts.items import CleanItems
from dcpc_bench.shifts.pool import LabelModel


@dataclass(frozen=True)
class ConfusionPool:
    r"""Class-conditional errors: annotator a reads true class c as k with probability Π^a_ck.

    Model: label | clean = c ~ Categorical(Π^a_c), with one matrix per annotator (Dawid & Skene 1979, "Maximum
    likelihood estimation of observer error-rates using the EM algorithm", Applied Statistics 28), rows drawn
    from a Dirichlet as in its Bayesian form (Kim & Ghahramani 2012, "Bayesian classifier combination"):

        D^a_c ~ Dirichlet(concentration · [(1 − r) on c, r / (C − 1) elsewhere]),   r = noise_rate
        Π^a_c = (1 − strength) · onehot(c) + strength · D^a_c

    so that the expected noise rate is strength · noise_rate.

    Attributes:
        strength: the dial in [0, 1].
        noise_rate: r, the expected share of wrong labels at full strength.
        concentration: total Dirichlet count; low values give annotators who differ much from each other.
    """

    strength: float = 1.0
    noise_rate: float = 0.3
    concentration: float = 10.0

    name: ClassVar[str] = "confusion"

    @property
    def asked_noise(self) -> float:
        """strength · noise_rate."""
        return self.strength * self.noise_rate

    def label_model(self, items: CleanItems, asked: Assignment, rng: np.random.Generator) -> LabelModel:
        """Rows of the annotators' confusion matrices, float [J, C]."""
        n = items.n_classes
        clean = items.codes[asked.item]  # [J]
        if n == 1:
            return LabelModel(one_hot(clean, n))
        matrices = np.empty((asked.n_annotators, n, n))  # [A, C, C]
        for c in range(n):
            mean = np.full(n, self.noise_rate / (n - 1))
            mean[c] = 1.0 - self.noise_rate
            # A Dirichlet needs positive counts; the floor only matters at noise rates of exactly 0 or 1.
            matrices[:, c] = rng.dirichlet(np.maximum(self.concentration * mean, 1e-6), asked.n_annotators)
        matrices = (1.0 - self.strength) * np.eye(n) + self.strength * matrices
        return LabelModel(matrices[asked.annotator, clean])
