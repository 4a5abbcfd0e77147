"""Annotators with a response style."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dcpc.data.counts import one_hot
from dcpc_bench.shifts.assignment import Assignment
from dcpc_bench.shifts.items import CleanItems
from dcpc_bench.shifts.pool import LabelModel

STYLES = ("acquiescent", "disacquiescent", "extreme", "midpoint", "random")


@dataclass(frozen=True)
class StylePool:
    r"""Response styles: part of an annotator's answers follows a habit, not the item.

    Model: the response styles of Baumgartner & Steenkamp 2001 ("Response styles in marketing research",
    Journal of Marketing Research 38) as a mixture of content and habit. Annotator a has one style and a
    weight w_a ~ Beta(concentration · rate, concentration · (1 − rate)):

        P(label | i, a) = (1 − strength · w_a) · onehot(clean_i) + strength · w_a · h_a(clean_i)

    with h the last label (acquiescent), the first (disacquiescent), the end of the scale nearer to the clean
    label (extreme), the middle (midpoint; both middle ones equally if C is even) or uniform (random).
    Label order matters: first = lowest or "no", last = highest or "yes".

    Attributes:
        strength: the dial in [0, 1].
        rate: mean weight of the habit at full strength.
        concentration: how alike the annotators' weights are; high = alike.
    """

    strength: float = 1.0
    rate: float = 0.4
    concentration: float = 8.0

    name: ClassVar[str] = "style"

    @property
    def asked_noise(self) -> None:
        """None: a habit often gives the clean label too, so the noise rate follows from the items."""
        return

    def label_model(self, items: CleanItems, asked: Assignment, rng: np.random.Generator) -> LabelModel:
        """Label probabilities, float [J, C], and each annotator's `annotator_style`."""
        n = items.n_classes
        weight = rng.beta(
            self.concentration * self.rate, self.concentration * (1 - self.rate), asked.n_annotators
        )
        style = rng.permutation(np.arange(asked.n_annotators) % len(STYLES))  # [A]
        clean = items.codes[asked.item]  # [J]
        habit = _habits(n)[style[asked.annotator], clean]  # [J, C]
        mix = (self.strength * weight)[asked.annotator, None]  # [J, 1]
        names = np.array(STYLES, dtype=object)[style]
        return LabelModel((1 - mix) * one_hot(clean, n) + mix * habit, {"annotator_style": names})


def _habits(n: int) -> np.ndarray:
    """What each style answers to each clean label, float [styles, C, C]."""
    habits = np.zeros((len(STYLES), n, n))
    habits[0, :, -1] = 1.0
    habits[1, :, 0] = 1.0
    codes = np.arange(n)
    habits[2, codes, np.where(codes >= (n - 1) / 2, n - 1, 0)] = 1.0
    habits[3, :, (n - 1) // 2] += 0.5
    habits[3, :, n // 2] += 0.5
    habits[4] = 1.0 / n
    return habits
