"""PEFT configurations of the baselines, as their carriers make them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import peft
from transformers import PreTrainedModel

from dcpc.training.carriers import PeftCarrier
from dcpc_bench.methods.carriers import CARRIERS


def adapter_config(
    method: str, base: PreTrainedModel, labels: Sequence[str], **settings: Any
) -> peft.PeftConfig:
    """The configuration for a training of 20 steps."""
    carrier = CARRIERS[method]
    assert isinstance(carrier, PeftCarrier)
    return carrier.checked_config(base, labels, 20, settings)
