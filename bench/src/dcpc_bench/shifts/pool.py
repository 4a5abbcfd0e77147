"""What an annotator pool is, and how judgements are drawn from one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np

from dcpc.data.annotations import Annotations
from dcpc.errors import UsageError
from dcpc_bench.shifts.assignment import Assignment, assign_annotators
from dcpc_bench.shifts.items import CleanItems
from dcpc_bench.shifts.report import ShiftReport, report_labels


@dataclass(frozen=True)
class LabelModel:
    """How the annotators of one pool label the judgements asked of them.

    Attributes:
        probabilities: P(label | item, annotator) of each judgement, float [J, C], rows sum to 1.
        attributes: columns about annotators, each an array [A], that the output table should carry.
    """

    probabilities: np.ndarray
    attributes: dict[str, np.ndarray] = field(default_factory=dict)


class AnnotatorPool(Protocol):
    """A simulated pool of annotators: a frozen dataclass with a `strength` dial in [0, 1], 0 = identity."""

    name: ClassVar[str]

    @property
    def strength(self) -> float:
        """The dial in [0, 1]."""
        ...

    @property
    def asked_noise(self) -> float | None:
        """The noise rate that the configuration asks for; None where it follows from the items."""
        ...

    def label_model(self, items: CleanItems, asked: Assignment, rng: np.random.Generator) -> LabelModel:
        """Draw the annotators and return the label probabilities of the J judgements in `asked`."""
        ...


def simulate(
    items: CleanItems,
    pool: AnnotatorPool,
    *,
    n_annotators: int = 12,
    labels_per_item: int = 3,
    seed: int = 0,
) -> tuple[Annotations, ShiftReport]:
    """Let a pool of annotators judge items with known clean labels.

    The random numbers do not depend on the strength, so turning the dial moves the same annotators further
    from the clean labels instead of drawing others.

    Args:
        items: I items with their clean labels.
        pool: which annotators; see `dcpc_bench.shifts.pools.POOLS`.
        n_annotators: A.
        labels_per_item: b, the judgements per item, by b different annotators.
        seed: the same seed gives the same table.

    Returns:
        The table of J = I·b judgements (besides the usual columns `clean_label` and what the pool says of its
        annotators), and the report of asked-for and realised noise.

    Raises:
        UsageError: if the strength is outside [0, 1], there are no items or b is not between 1 and A.
    """
    check_strength(pool.strength)
    if not len(items):
        raise UsageError("there are no items to judge.")
    rng = np.random.default_rng(seed)
    asked = assign_annotators(len(items), n_annotators, labels_per_item, rng)
    draws = rng.random(len(asked.item))  # [J]
    model = pool.label_model(items, asked, rng)
    codes = _inverse_cdf(model.probabilities, draws)  # [J]
    clean = items.codes[asked.item]  # [J]
    annotations = _as_table(items, asked, codes, clean, model.attributes, f"{pool.name} (simulated)")
    implied = 1.0 - float(model.probabilities[np.arange(len(clean)), clean].mean())
    return annotations, report_labels(
        annotations,
        clean,
        name=pool.name,
        strength=pool.strength,
        seed=seed,
        asked_noise=implied if pool.asked_noise is None else pool.asked_noise,
    )


def check_strength(strength: float) -> None:
    """Refuse a dial outside [0, 1].

    Raises:
        UsageError: if it is.
    """
    if not 0.0 <= strength <= 1.0:
        raise UsageError(
            f"strength {strength:g} is outside 0 to 1.", fix="0 changes nothing, 1 is the full shift."
        )


def _inverse_cdf(probabilities: np.ndarray, draws: np.ndarray) -> np.ndarray:
    cumulative = probabilities.cumsum(axis=1)  # [J, C]
    # Scaled by its own sum, so that rounding never leaves a draw above the last class; ">=" skips classes
    # of probability 0, also for a draw of exactly 0.
    return (draws[:, None] * cumulative[:, -1:] >= cumulative).sum(axis=1)


def _as_table(
    items: CleanItems,
    asked: Assignment,
    codes: np.ndarray,
    clean: np.ndarray,
    attributes: dict[str, np.ndarray],
    source: str,
) -> Annotations:
    width = len(str(asked.n_annotators - 1))
    names = np.array([f"a{a:0{width}d}" for a in range(asked.n_annotators)], dtype=object)
    labels = np.array(items.labels, dtype=object)
    own = [c for c in items.table.columns if c not in ("annotator_id", "label", "clean_label", *attributes)]
    table = items.table[own].iloc[asked.item].reset_index(drop=True)
    table = table.assign(annotator_id=names[asked.annotator], label=labels[codes], clean_label=labels[clean])
    table = table.assign(**{column: values[asked.annotator] for column, values in attributes.items()})
    return Annotations(table, items.labels, items.scale, source)
