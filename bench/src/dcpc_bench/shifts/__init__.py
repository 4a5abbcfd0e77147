"""Preference shifts: simulated annotator pools and the shifted twins of six tasks."""

from dcpc_bench.shifts.items import CleanItems
from dcpc_bench.shifts.pool import simulate
from dcpc_bench.shifts.pools import POOLS
from dcpc_bench.shifts.report import ShiftReport

__all__ = ["POOLS", "CleanItems", "ShiftReport", "simulate"]
