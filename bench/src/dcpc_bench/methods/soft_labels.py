"""Soft labels (Peterson et al. 2019): each item is trained toward the shares of its votes."""

from __future__ import annotations

from dcpc_bench.method import Method
from dcpc_bench.methods.parts.item_targets import toward

METHOD = Method(
    "soft-labels",
    "Peterson et al. 2019",
    "the shares of the votes",
    rule=toward(lambda train: train.soft_labels),
)
