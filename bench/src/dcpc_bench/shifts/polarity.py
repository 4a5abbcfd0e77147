"""Annotators who cool the positive or soften the negative."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dcpc.data.counts import one_hot
from dcpc_bench.shifts.assignment import Assignment
from dcpc_bench.shifts.items import CleanItems
from dcpc_bench.shifts.pool import LabelModel


@dataclass(frozen=True)
class PolarityPool:
    r"""Polarity shift: reserved annotators move positives toward neutral, mild ones soften negatives.

    Model: the polarity shift of the paper's SST-2-P (a coefficient δ moves positives toward neutral and
    softens negatives), spread over two kinds of annotators. The labels are ordered from negative to positive,
    m = (C−1)/2 is neutral, w_i ∈ (0, 1) the intensity of item i within its class (1 = far from neutral). An
    annotator who shifts the item's side moves its label one step towards (with two labels: across) neutral

        with probability strength · δ · 2 (1 − w_i)   (at most 1),

    so faint items move first, and δ is the mean share of moved labels on that side at full strength (δ ≤ ½).

    Attributes:
        strength: the dial in [0, 1].
        delta: δ, the share of the shifted side that moves at full strength.
        reserved_share: share of annotators that shift positives; the others shift negatives.
    """

    strength: float = 1.0
    delta: float = 0.4
    reserved_share: float = 0.5

    name: ClassVar[str] = "polarity"

    @property
    def asked_noise(self) -> None:
        """None: the noise rate follows from how many items each kind of annotator could move."""
        return

    def label_model(self, items: CleanItems, asked: Assignment, rng: np.random.Generator) -> LabelModel:
        """Label probabilities, float [J, C], and each annotator's `annotator_group`."""
        n, middle = items.n_classes, (items.n_classes - 1) / 2
        position = items.latent_positions(rng)[asked.item]  # [J]
        kinds = np.arange(asked.n_annotators) < round(self.reserved_share * asked.n_annotators)
        reserved = rng.permutation(kinds)  # [A]
        clean = items.codes[asked.item]  # [J]
        side = np.sign(clean - middle)  # [J], +1 positive, -1 negative, 0 neutral
        intensity = 0.5 + side * (position - clean)  # [J], within (0, 1)
        concerned = side == np.where(reserved, 1.0, -1.0)[asked.annotator]
        chance = concerned * np.clip(self.strength * self.delta * 2 * (1.0 - intensity), 0.0, 1.0)  # [J]
        moved = np.clip(clean - side.astype(int), 0, n - 1)  # [J]
        probabilities = (1 - chance)[:, None] * one_hot(clean, n) + chance[:, None] * one_hot(moved, n)
        return LabelModel(probabilities, {"annotator_group": np.where(reserved, "reserved", "mild")})
