"""The annotator pools by name."""

from __future__ import annotations

from collections.abc import Callable

from dcpc_bench.shifts.confusion import ConfusionPool
from dcpc_bench.shifts.flips import FlipPool
from dcpc_bench.shifts.groups import GroupBiasPool
from dcpc_bench.shifts.items import CleanItems
from dcpc_bench.shifts.leaning import LeaningPool
from dcpc_bench.shifts.polarity import PolarityPool
from dcpc_bench.shifts.pool import AnnotatorPool, simulate
from dcpc_bench.shifts.report import ShiftReport
from dcpc_bench.shifts.styles import StylePool
from dcpc_bench.shifts.thresholds import ThresholdPool

POOLS: dict[str, Callable[..., AnnotatorPool]] = {
    pool.name: pool
    for pool in (ConfusionPool, ThresholdPool, PolarityPool, GroupBiasPool, StylePool, FlipPool, LeaningPool)
}
"""Every pool: `POOLS["thresholds"](strength=0.5)` is a configured one."""

__all__ = [
    "POOLS",
    "AnnotatorPool",
    "CleanItems",
    "ConfusionPool",
    "FlipPool",
    "GroupBiasPool",
    "LeaningPool",
    "PolarityPool",
    "ShiftReport",
    "StylePool",
    "ThresholdPool",
    "simulate",
]
