"""P-Tuning v2 (Liu et al. 2022), as `dcpc train --method p-tuning-v2` trains it."""

from __future__ import annotations

from dcpc_bench.method import Method

METHOD = Method(
    "p-tuning-v2",
    "Liu et al. 2022",
    "plain cross-entropy on every judgement",
    carrier="p-tuning-v2",
)
