"""The annotator pools by name."""

from __future__ import annotations

from collections.abc import Callable

from dcpc.data.shift.confusion import ConfusionPool
from dcpc.data.shift.flips import FlipPool
from dcpc.data.shift.groups import GroupBiasPool
from dcpc.data.shift.items import CleanItems
from dcpc.data.shift.polarity import PolarityPool
from dcpc.data.shift.pool import AnnotatorPool, simulate
from dcpc.data.shift.report import ShiftReport
from dcpc.data.shift.styles import StylePool
from dcpc.data.shift.thresholds import ThresholdPool

POOLS: dict[str, Callable[..., AnnotatorPool]] = {
    pool.name: pool
    for pool in (ConfusionPool, ThresholdPool, PolarityPool, GroupBiasPool, StylePool, FlipPool)
}
"""Every pool: `POOLS["thresholds"](strength=0.5)` is a configured one."""

__all__ = [
    "POOLS",
    "AnnotatorPool",
    "CleanItems",
    "ConfusionPool",
    "FlipPool",
    "GroupBiasPool",
    "PolarityPool",
    "ShiftReport",
    "StylePool",
    "ThresholdPool",
    "simulate",
]
