"""PEFT configurations of the baselines, as their carriers make them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import peft
from transformers import PreTrainedModel

from dcpc.training.carriers import PeftCarrier, carrier_of
from dcpc_bench.methods import METHODS

PEFT_METHODS = ("lora", "dora", "adalora", "ia3", "prompt-tuning", "p-tuning-v2")


def adapter_config(
    method: str, base: PreTrainedModel, labels: Sequence[str], **settings: Any
) -> peft.PeftConfig:
    """The configuration for a training of 20 steps."""
    carrier = carrier_of(METHODS[method].carrier)
    assert isinstance(carrier, PeftCarrier)
    return carrier.checked_config(base, labels, 20, settings)
