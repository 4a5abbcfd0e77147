"""Prompt tuning (Lester et al. 2021): learned positions in front of the input."""

from __future__ import annotations

from typing import Any

import peft
from transformers import PreTrainedModel

from dcpc.training.carriers import PeftCarrier
from dcpc_bench.method import LARGE_RATES, Method, grid

PROMPT_LENGTH = 16
"""Learned positions."""


class PromptCarrier(PeftCarrier):
    """Learned positions in front of the input."""

    name = "prompt-tuning"

    def config(self, base: PreTrainedModel, steps: int, **settings: Any) -> peft.PeftConfig:
        """The configuration."""
        return peft.PromptTuningConfig(**({"num_virtual_tokens": PROMPT_LENGTH} | settings))


METHOD = Method(
    "prompt-tuning",
    "Lester et al. 2021",
    "plain cross-entropy on every judgement",
    carrier=PromptCarrier(),
    grid=grid(LARGE_RATES),
)
