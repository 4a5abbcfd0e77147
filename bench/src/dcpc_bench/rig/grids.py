"""The settings that are searched: per carrier the same five learning rates over two and a half orders of magnitude,
and the same three strengths of weight decay, so that no method is compared with a badly tuned one.

AdamW shrinks weights by (learning rate · weight decay) per step: values below 0.1 do nothing in a training of a few
hundred steps, and the product has to stay well below 1.
"""

from __future__ import annotations

from typing import Any

Grid = dict[str, tuple[Any, ...]]
"""Values of every axis, from weak to strong."""

SMALL_RATES = (5e-6, 2e-5, 7e-5, 3e-4, 1e-3)
"""Full fine-tuning."""
MIDDLE_RATES = (2e-4, 1e-3, 4e-3, 1.5e-2, 6e-2)
"""Adapters with weights of their own: low-rank, bottleneck, prefixes, DCPC; biases."""
LARGE_RATES = (1e-3, 5e-3, 2e-2, 8e-2, 3e-1)
"""Few numbers that act everywhere: scaling vectors and prompts."""
DECAYS = (0.0, 0.3, 3.0)

RATES = {"full": SMALL_RATES, "ia3": LARGE_RATES, "prompt-tuning": LARGE_RATES}


def carrier_grid(carrier: str) -> Grid:
    """Learning rate and weight decay: the same points for every carrier with rates of the same size."""
    return {"learning_rate": RATES.get(carrier, MIDDLE_RATES), "weight_decay": DECAYS}


def rule_grid(name: str, values: tuple[float, ...]) -> Grid:
    """Learning rate, weight decay, and the strength of a rule."""
    return {"learning_rate": MIDDLE_RATES, "weight_decay": DECAYS, name: values}
