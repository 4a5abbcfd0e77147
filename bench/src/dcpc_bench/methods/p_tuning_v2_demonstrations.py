"""P-Tuning v2 whose prefix starts from demonstrations, by PEFT's own initialisation from a key/value cache."""

from __future__ import annotations

from dcpc_bench.method import Method
from dcpc_bench.methods.dcpc import FROM_DEMONSTRATIONS

METHOD = Method(
    "p-tuning-v2-demonstrations",
    "Liu et al. 2022; Eyuboglu et al. 2025",
    "P-Tuning v2 that starts as the base model's keys and values of 12 judged training items",
    carrier="p-tuning-v2",
    grid={},
    training=FROM_DEMONSTRATIONS,
    needs_reader=True,
)
