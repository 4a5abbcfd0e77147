"""A low-rank update as LoRA's behind demonstrations: what these are worth without anything else of `default`."""

from __future__ import annotations

from dcpc_bench.method import Method
from dcpc_bench.methods.dcpc import FROM_DEMONSTRATIONS

METHOD = Method(
    "lora-demonstrations",
    "this project",
    "a low-rank update as LoRA's, with plain cross-entropy and no annotators, behind the same prefix",
    carrier="dcpc",
    grid={},
    training={**FROM_DEMONSTRATIONS, "preset": "none"},
    adapter={"rank": 4, "annotators": None},
    needs_reader=True,
)
