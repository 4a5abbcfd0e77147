"""DoRA (Liu et al. 2024): LoRA with direction and length of the weights apart."""

from __future__ import annotations

from typing import Any

import peft
from transformers import PreTrainedModel

from dcpc.training.carriers import LoraCarrier
from dcpc_bench.method import Method


class DoraCarrier(LoraCarrier):
    """LoRA with direction and length of the weights apart."""

    name = "dora"

    def config(self, base: PreTrainedModel, steps: int, **settings: Any) -> peft.PeftConfig:
        """The configuration."""
        return super().config(base, steps, **({"use_dora": True} | settings))


METHOD = Method(
    "dora",
    "Liu et al. 2024",
    "plain cross-entropy on every judgement",
    carrier=DoraCarrier(),
    adapter={"r": 4, "lora_alpha": 8},
)
