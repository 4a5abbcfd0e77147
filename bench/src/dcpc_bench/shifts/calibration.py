"""Turning a simulated pool's dial until the asked-for share of its judgements differs from the clean labels."""

from __future__ import annotations

from collections.abc import Callable

from dcpc.data.annotations import Annotations
from dcpc.errors import DataError
from dcpc_bench.shifts import CleanItems, ShiftReport, simulate
from dcpc_bench.shifts.pool import AnnotatorPool

HALVINGS = 14
"""Steps of the bisection; the dial is then known to 1/16,384."""
TOLERANCE = 0.02
"""How far the realised share may be from the asked one: judgements are counted, not weighed."""


def calibrate(
    pool: Callable[[float], AnnotatorPool],
    items: CleanItems,
    noise: float,
    *,
    n_annotators: int,
    labels_per_item: int,
    seed: int,
) -> tuple[Annotations, ShiftReport]:
    """Judgements with the asked-for noise, by bisection of the strength between 0 and 1.

    The pool's random numbers do not depend on its strength, so the realised noise rises with it but for single
    judgements, and bisection finds the dial of these very annotators on these very items.

    Args:
        pool: strength → configured pool.
        items: I items with clean labels.
        noise: asked-for share of judgements that differ from the clean label.
        n_annotators: A.
        labels_per_item: b.
        seed: of the pool.

    Returns:
        The judgements, and the report with strength and realised noise.

    Raises:
        DataError: the pool does not get there at full strength.
    """

    def judge(strength: float) -> tuple[Annotations, ShiftReport]:
        return simulate(
            items, pool(strength), n_annotators=n_annotators, labels_per_item=labels_per_item, seed=seed
        )

    low, high = 0.0, 1.0
    best = judge(high)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        found = judge(middle)
        if _distance(found, noise) <= _distance(best, noise):
            best = found
        low, high = (middle, high) if (found[1].realised_noise or 0.0) < noise else (low, middle)
    if _distance(best, noise) > TOLERANCE:
        raise DataError(
            f"the pool {best[1].name} reaches {best[1].realised_noise:.1%} disagreement with the clean labels "
            f"on these items, and {noise:.0%} was asked for.",
            fix="Ask for less, or give the pool stronger parameters under `pools` in the suite.",
        )
    return best


def _distance(found: tuple[Annotations, ShiftReport], noise: float) -> float:
    return abs((found[1].realised_noise or 0.0) - noise)
