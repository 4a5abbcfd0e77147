"""Accuracy and margin of rewards while a training runs, under the names that TRL's `RewardTrainer` logs.

accuracy = Σ_j 1[s_j m_j > 0] / n,    margin = Σ_j s_j m_j / n    over the n votes for a side, s_j = ±1
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from dcpc import ranks


@dataclass
class Tally:
    """A running mean, whatever batches its values came in.

    Attributes:
        sum: of the values, each times what it counts for.
        total: what all values count for.
    """

    sum: float = 0.0
    total: float = 0.0

    def add(self, values: Tensor, counts: Tensor) -> None:
        """Take some values [n], each with what it counts for [n]."""
        self.sum += (values * counts).sum().item()
        self.total += counts.sum().item()

    @property
    def mean(self) -> float:
        """Of all values; there has to be one."""
        return self.sum / self.total


@dataclass
class MarginTally:
    """Running sums over votes; a mean over votes, whatever batches they came in.

    Attributes:
        sums: right votes, margins towards the chosen side, and votes for a side.
    """

    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])

    def add(self, margins: Tensor, signs: Tensor, weights: Tensor | None = None) -> None:
        """Count some votes.

        Args:
            margins: reward(a) − reward(b) of each vote's pair [J].
            signs: +1 for votes for a, −1 for b, 0 for ties, which are for no side [J].
            weights: what each counts for [J]; None for all alike.
        """
        towards, counts = margins.detach() * signs, (signs != 0).float()  # a tie is right for nobody
        if weights is not None:
            counts = counts * weights
        for place, value in enumerate(
            (((towards > 0) * counts).sum(), (towards * counts).sum(), counts.sum())
        ):
            self.sums[place] += value.item()

    def drained(self) -> dict[str, float]:
        """`accuracy` and `margin` of all ranks since the last call; empty where no vote was for a side."""
        right, margin, n = ranks.total(self.sums)
        self.sums = [0.0, 0.0, 0.0]
        return {"accuracy": right / n, "margin": margin / n} if n else {}
