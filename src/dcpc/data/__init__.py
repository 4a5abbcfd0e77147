"""Annotations: one long table, one row per judgement."""

from dcpc.data.annotations import Annotations

__all__ = ["Annotations"]
