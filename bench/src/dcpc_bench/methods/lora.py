"""LoRA (Hu et al. 2022), as `dcpc train --method lora` trains it."""

from __future__ import annotations

from dcpc_bench.method import Method

METHOD = Method(
    "lora",
    "Hu et al. 2022",
    "plain cross-entropy on every judgement",
    carrier="lora",
    # As many numbers as sixteen positions of P-Tuning v2, 2·16 vectors of the hidden width per layer.
    adapter={"r": 4, "lora_alpha": 8},
)
