"""Preference shifts: simulated annotator pools and the shifted twins of six tasks."""

from dcpc.data.shift.items import CleanItems
from dcpc.data.shift.pool import simulate
from dcpc.data.shift.pools import POOLS
from dcpc.data.shift.report import ShiftReport

__all__ = ["POOLS", "CleanItems", "ShiftReport", "simulate"]
