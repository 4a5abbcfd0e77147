"""Items with a known clean label: what every annotator pool starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dcpc.data.annotations import Annotations, Scale, item_texts
from dcpc.errors import UsageError


@dataclass(frozen=True)
class CleanItems:
    """I items with one clean label each, of C classes.

    Attributes:
        table: one row per item, `item_id` and what else belongs to the item (`text`, `text_pair`, `split`).
        codes: clean label of each item as a position in `labels`, int [I].
        labels: the C label names; ordinal scales from low to high.
        scale: as in `Annotations`.
        scores: a latent score per item, float [I], higher = higher label; only its order within a class is
            used, so a clean label always stays the label at strength 0. None: a random order.
        features: item vectors, float [I, H], for pools that look at the input; None: hashed words.
    """

    table: pd.DataFrame
    codes: np.ndarray
    labels: tuple[str, ...]
    scale: Scale = "nominal"
    scores: np.ndarray | None = None
    features: np.ndarray | None = None

    def __post_init__(self) -> None:
        if len(self.codes) != len(self.table):
            raise UsageError(f"{len(self.codes)} clean labels were given for {len(self.table)} items.")
        if len(self.codes) and not (self.codes.min() >= 0 and self.codes.max() < len(self.labels)):
            raise UsageError(
                f"clean labels must be positions in the {len(self.labels)} labels, "
                f"but range from {self.codes.min()} to {self.codes.max()}."
            )

    def __len__(self) -> int:
        """I, the number of items."""
        return len(self.table)

    @property
    def n_classes(self) -> int:
        """C, the number of labels in the label set."""
        return len(self.labels)

    @classmethod
    def from_labels(
        cls,
        texts: Sequence[str],
        codes: Sequence[int] | np.ndarray,
        labels: Sequence[str],
        *,
        scale: Scale = "nominal",
        scores: np.ndarray | None = None,
    ) -> CleanItems:
        """Items named `item0`, `item1`, … from I texts and their clean label codes [I]."""
        ids = [f"item{i}" for i in range(len(texts))]
        table = pd.DataFrame({"item_id": ids, "text": list(texts)})
        return cls(table, np.asarray(codes, dtype=np.int64), tuple(labels), scale, scores)

    @classmethod
    def from_annotations(cls, annotations: Annotations) -> CleanItems:
        """Items of a table; the clean label is the majority of its judgements, ties to the first label.

        On an ordinal scale the mean judgement of the item is its latent score.
        """
        counts = annotations.counts  # [I, C]
        scores = annotations.soft_labels @ np.arange(annotations.n_classes)  # [I]
        return cls(
            annotations.items,
            counts.argmax(axis=1),
            annotations.labels,
            annotations.scale,
            scores if annotations.scale == "ordinal" else None,
        )

    def texts(self) -> list[str]:
        """Each item's whole text, as `dcpc.data.annotations.item_texts` makes it.

        Raises:
            UsageError: if the items have no text.
        """
        if "text" not in self.table:
            raise UsageError("this pool looks at the text, but the items have no column `text`.")
        return item_texts(self.table)

    def latent_positions(self, rng: np.random.Generator) -> np.ndarray:
        """A latent position per item on the scale 0 … C−1, float [I], within ±½ of its clean label.

        The order within a class follows `scores` where they are given and is random otherwise, evenly spread:
        rounding gives the clean label back.
        """
        tie_breaks = rng.random(len(self))  # [I], drawn in any case: the same seed continues the same way
        order = np.lexsort((tie_breaks, tie_breaks if self.scores is None else self.scores, self.codes))
        sizes = np.bincount(self.codes, minlength=self.n_classes)  # [C]
        starts = np.cumsum(sizes) - sizes  # [C]
        rank = np.empty(len(self))
        rank[order] = np.arange(len(self)) - starts[self.codes[order]]
        return self.codes - 0.5 + (rank + 0.5) / sizes[self.codes]
