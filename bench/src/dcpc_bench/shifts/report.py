"""What a shift asked for and what came out."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from dcpc.data.annotations import Annotations
from dcpc.data.counts import pairwise_agreement


@dataclass(frozen=True)
class ShiftReport:
    """One generated table in numbers.

    Attributes:
        name: the pool or the shifted task.
        strength: the dial; 0 = identity.
        seed: the random seed.
        items: I.
        rows: J, the judgements (or rewritten rows) in the table.
        asked_noise: the share of judgements that should differ from the clean label: the rate set in the
            configuration where there is one, else what the model implies here; None without labels.
        realised_noise: the share of judgements that do differ; None without labels.
        agreement: mean over items of the share of annotator pairs with the same label; None where no item
            has two labels.
        annotator_noise: the realised noise rate of each annotator.
        changed_texts: how many rows carry a rewritten text or response.
    """

    name: str
    strength: float
    seed: int
    items: int
    rows: int
    asked_noise: float | None = None
    realised_noise: float | None = None
    agreement: float | None = None
    annotator_noise: dict[str, float] = field(default_factory=dict)
    changed_texts: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The report as plain types, for JSON."""
        return asdict(self)


def report_labels(
    annotations: Annotations,
    clean: np.ndarray,
    *,
    name: str,
    strength: float,
    seed: int,
    asked_noise: float,
    changed_texts: int = 0,
) -> ShiftReport:
    """Compare the judgements of a generated table with their clean label codes, int [J]."""
    wrong = annotations.label_codes != clean  # [J]
    annotator = annotations.annotator_codes
    sizes = np.bincount(annotator, minlength=len(annotations.annotators))  # [A]
    rates = np.bincount(annotator, weights=wrong, minlength=len(sizes)) / sizes
    return ShiftReport(
        name=name,
        strength=strength,
        seed=seed,
        items=annotations.n_items,
        rows=annotations.n_judgements,
        asked_noise=asked_noise,
        realised_noise=float(wrong.mean()),
        agreement=pairwise_agreement(annotations.counts),
        annotator_noise=dict(zip(annotations.annotators, rates.tolist(), strict=True)),
        changed_texts=changed_texts,
    )
