"""The linear probe with a random effect of every annotator on the logits."""

from __future__ import annotations

from functools import partial

from dcpc_bench.method import Method
from dcpc_bench.methods.linear_probe import fit_probe

METHOD = Method(
    "linear-probe-annotators",
    "Alain, Bengio 2016; random effects",
    "the same with an effect of every annotator",
    fit=partial(fit_probe, annotator_effects=True),
    grid={},
    needs_annotators=True,
)
