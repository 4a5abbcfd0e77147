"""Annotators with shifted thresholds on an ordinal scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit

from dcpc.data.counts import one_hot
from dcpc_bench.shifts.assignment import Assignment
from dcpc_bench.shifts.items import CleanItems
from dcpc_bench.shifts.pool import LabelModel


@dataclass(frozen=True)
class ThresholdPool:
    r"""Lenient, strict, extreme and cautious readers of one ordinal scale.

    Model: the graded response model (Samejima 1969, "Estimation of latent ability using a response pattern of
    graded scores", Psychometrika Monograph 17) with annotator parameters for severity and spread, as in
    many-facet Rasch measurement (Linacre 1989). Item i lies at θ_i on the scale 0 … C−1 (rounding θ_i gives
    its clean label), m = (C−1)/2 is the middle, the thresholds are t_k = k − ½:

        θ'_ia = m + exp(e_a) · (θ_i − m) + b_a
        P(label ≥ k) = sigmoid((θ'_ia − t_k) / s)
        b_a ~ N(0, (strength · leniency)²),  e_a ~ N(0, (strength · extremity)²),  s = strength · noise

    At strength 0 all of b, e, s vanish and every annotator gives the clean label.

    Attributes:
        strength: the dial in [0, 1].
        leniency: standard deviation of the shift b_a, in steps of the scale; b_a > 0 gives higher labels.
        extremity: standard deviation of the log-spread e_a; e_a > 0 favours the ends of the scale.
        noise: scale s of the logistic noise of a single judgement, in steps of the scale.
    """

    strength: float = 1.0
    leniency: float = 0.5
    extremity: float = 0.3
    noise: float = 0.1

    name: ClassVar[str] = "thresholds"

    @property
    def asked_noise(self) -> None:
        """None: the noise rate follows from where the items lie between the thresholds."""
        return

    def label_model(self, items: CleanItems, asked: Assignment, rng: np.random.Generator) -> LabelModel:
        """Graded response probabilities, float [J, C], and each annotator's `leniency` and `extremity`."""
        n, middle = items.n_classes, (items.n_classes - 1) / 2
        theta = items.latent_positions(rng)[asked.item]  # [J]
        shift = self.strength * self.leniency * rng.standard_normal(asked.n_annotators)  # [A]
        spread = self.strength * self.extremity * rng.standard_normal(asked.n_annotators)  # [A]
        attributes = {"annotator_leniency": shift, "annotator_extremity": spread}
        if self.strength == 0:
            return LabelModel(one_hot(items.codes[asked.item], n), attributes)
        moved = middle + np.exp(spread)[asked.annotator] * (theta - middle) + shift[asked.annotator]  # [J]
        distance = moved[:, None] - (np.arange(1, n) - 0.5)  # [J, C-1]
        scale = self.strength * self.noise
        above = expit(distance / scale) if scale > 0 else (distance > 0).astype(float)
        edges = np.hstack([np.ones((len(moved), 1)), above, np.zeros((len(moved), 1))])  # [J, C+1]
        return LabelModel(edges[:, :-1] - edges[:, 1:], attributes)
