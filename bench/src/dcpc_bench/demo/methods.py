"""The three methods and their settings, the same for all except the learning rate.

Learning rates were chosen by `python -m dcpc_bench.demo.selection`: the cross-entropy (nats) of 320 held-out *noisy*
judgements of another generated world, same grid for every method, one seed. No clean label and no test review
had a say. What it gave:

    learning rate   0.001   0.003   0.01    0.03
    P-Tuning v2     0.615   0.502   0.493   0.501
    LoRA            0.496   0.493   0.579   0.711
    DCPC            0.483   0.471   0.463   0.473
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

BASE_MODEL = "minilm"
MAX_LENGTH = 48
"""Tokens; the longest review has fewer."""


@dataclass(frozen=True)
class Method:
    """A method of `dcpc.fit.METHODS`, its name on the page, learning rate and adapter settings."""

    key: str
    name: str
    learning_rate: float
    adapter: dict[str, Any] = field(default_factory=dict)


METHODS = (
    Method("p-tuning-v2", "P-Tuning v2", 1e-2, {"num_virtual_tokens": 23}),
    Method("lora", "LoRA", 3e-3, {"r": 6, "lora_alpha": 12}),
    Method("dcpc", "DCPC", 1e-2, {"bottleneck": 22}),
)
"""Prefix length, rank and width give all three the same number of trainable parameters, within 5 %."""
LEARNING_RATES = (1e-3, 3e-3, 1e-2, 3e-2)
"""The grid of every method."""

SHARED: dict[str, Any] = {
    "num_train_epochs": 2,
    "per_device_train_batch_size": 16,
    # Batches of similar length waste less time on padding.
    "train_sampling_strategy": "group_by_length",
    "save_strategy": "no",
}
"""Training arguments of every method: the same steps over the same data in the same order."""


def training_settings(learning_rate: float, seed: int) -> dict[str, Any]:
    """Training arguments of one run; the seed fixes order, starting weights and noise."""
    return {**SHARED, "learning_rate": learning_rate, "seed": seed}
