"""Comparing stores."""

from __future__ import annotations

from collections.abc import Mapping

from dcpc_bench.rig.store import Key, Record

COST = ("seconds", "memory_mib", "commit")
"""What may differ between two runs of one cell (somebody may commit in between)."""


def same_records(one: Mapping[Key, Record], other: Mapping[Key, Record]) -> bool:
    """Whether two stores hold the same records, apart from what they cost."""
    return _bare(one) == _bare(other)


def _bare(records: Mapping[Key, Record]) -> dict[Key, Record]:
    return {key: {f: v for f, v in r.items() if f not in COST} for key, r in records.items()}
