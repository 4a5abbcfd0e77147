"""What a model card says of an adapter's training: its data, how much annotators agree, and held-out figures.

Figures are means over held-out judgements, with the interval of a ratio over items (judgements of one item hang
together):

    r = Σ_i h_i / Σ_i n_i,    s² = I / (I − 1) · Σ_i (h_i − r n_i)² / (Σ_i n_i)²,    r ± 1.96 s
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel

from dcpc.probabilities import SMALLEST

if TYPE_CHECKING:
    from dcpc.data.annotations import Annotations

REPLICATES, MOST_FOR_INTERVAL = 200, 100_000
"""Bootstrap samples of the agreement, and items up to which it is sampled."""


class Figure(BaseModel):
    """A mean over held-out judgements and its 95 % interval; the interval is None for a single item."""

    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} (95 % interval {self.low:.3f} to {self.high:.3f})"


class About(BaseModel):
    """Facts of a training, kept in `task.json`.

    Attributes:
        items, judgements: trained on.
        annotators: how many; None where the data name none.
        alpha: Krippendorff's alpha of the training judgements; None where no item has two, or all are alike.
        held_out_items, held_out_judgements: that chose the epoch and were measured; 0 without.
        error: share of the held-out judgements that the most probable label is not.
        cross_entropy: of the held-out judgements under the predicted distributions, in nats.
        more: further figures of them that the task has, by what they are.
    """

    items: int
    judgements: int
    annotators: int | None
    alpha: Figure | None
    held_out_items: int = 0
    held_out_judgements: int = 0
    error: Figure | None = None
    cross_entropy: Figure | None = None
    more: dict[str, Figure] = {}

    @classmethod
    def of(cls, train: Annotations, held_out: Annotations | None, probabilities: np.ndarray) -> About:
        """From the judgements of a training.

        Args:
            train: trained on.
            held_out: I items with noisy judgements; None for none.
            probabilities: predicted distributions of the held-out items [I, C]; not read where there are none.
        """
        about = cls(
            items=train.n_items,
            judgements=train.n_judgements,
            annotators=len(train.annotators) if train.has_annotators else None,
            alpha=_agreement(train),
        )
        if held_out is None:
            return about
        items, labels = held_out.item_codes, held_out.label_codes
        wrong = probabilities.argmax(axis=1)[items] != labels  # [J]
        loss = -np.log(probabilities[items, labels].clip(SMALLEST))  # [J]
        return about.model_copy(
            update={
                "held_out_items": held_out.n_items,
                "held_out_judgements": held_out.n_judgements,
                "error": mean_over_items(wrong, items),
                "cross_entropy": mean_over_items(loss, items),
            }
        )

    def text(self) -> str:
        """The card's section, in Markdown."""
        who = "unnamed annotators" if self.annotators is None else f"{self.annotators:,} annotators"
        unknown = "cannot be told: no item has two judgements, or all are alike"
        alpha = unknown if self.alpha is None else str(self.alpha)
        lines = [
            f"- trained on {self.judgements:,} judgements of {self.items:,} items by {who}",
            f"- agreement of the annotators, Krippendorff's alpha: {alpha}",
        ]
        lines += [f"- {name}: {figure}" for name, figure in self.more.items()]
        if self.error is not None and self.cross_entropy is not None:
            lines += [
                f"- held-out judgements that the most probable label is not: {self.error}",
                f"- cross-entropy of the held-out judgements, in nats: {self.cross_entropy}",
                f"\nThe {self.held_out_judgements:,} held-out judgements of {self.held_out_items:,} items are as "
                "noisy as those of the training, and chose its epoch: figures of a test set may be a little worse. "
                "People who disagree set a floor that no model gets below.",
            ]
        return "\n".join(lines) + "\n"


def mean_over_items(values: np.ndarray, items: np.ndarray, weights: np.ndarray | None = None) -> Figure:
    """Mean over judgements and its interval over items.

    Args:
        values: of every judgement [J].
        items: of every judgement, int [J].
        weights: what each counts for [J]; None for all alike.
    """
    weights = np.ones(len(values)) if weights is None else weights
    sums, sizes = np.bincount(items, weights=values * weights), np.bincount(items, weights=weights)
    sums, sizes = sums[sizes > 0], sizes[sizes > 0]  # [I]
    total, n = sizes.sum(), len(sizes)
    mean = float(sums.sum() / total)
    if n < 2:
        return Figure(value=mean)
    spread = 1.96 * float(np.sqrt(n / (n - 1) * ((sums - mean * sizes) ** 2).sum()) / total)
    return Figure(value=mean, low=max(mean - spread, 0.0), high=mean + spread)


def _agreement(annotations: Annotations) -> Figure | None:
    from dcpc.inspection.agreement import measure_agreement

    replicates = REPLICATES if annotations.n_items <= MOST_FOR_INTERVAL else 1
    found = measure_agreement(annotations, replicates=replicates)
    if found.alpha is None:
        return None
    return Figure(value=found.alpha, low=found.alpha_low, high=found.alpha_high)
