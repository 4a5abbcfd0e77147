"""(IA)³ (Liu et al. 2022): scaling vectors."""

from __future__ import annotations

from typing import Any

import peft
from transformers import PreTrainedModel

from dcpc.training.carriers import PeftCarrier
from dcpc_bench.method import LARGE_RATES, Method, grid
from dcpc_bench.methods.parts.layers import feedforward_outputs, key_value_linears


class Ia3Carrier(PeftCarrier):
    """Scaling vectors on keys, values and feed-forward layers; their neutral value is 1."""

    name = "ia3"
    no_decay = ("ia3_l",)

    def config(self, base: PreTrainedModel, steps: int, **settings: Any) -> peft.PeftConfig:
        """The configuration."""
        feedforward = feedforward_outputs(base)
        layers = {
            "target_modules": key_value_linears(base) + feedforward,
            "feedforward_modules": feedforward,
        }
        return peft.IA3Config(**(layers | settings))


METHOD = Method(
    "ia3",
    "Liu et al. 2022",
    "plain cross-entropy on every judgement",
    carrier=Ia3Carrier(),
    grid=grid(LARGE_RATES),
)
