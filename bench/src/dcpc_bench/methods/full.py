"""Full fine-tuning: every tensor trains."""

from __future__ import annotations

from transformers import PreTrainedModel

from dcpc_bench.method import SMALL_RATES, Method, grid
from dcpc_bench.methods.parts.in_place import InPlace


def train_everything(model: PreTrainedModel) -> int:
    """Let every tensor train. Returns their number of parameters."""
    model.requires_grad_(True)
    return sum(p.numel() for p in model.parameters())


METHOD = Method(
    "full",
    "the usual practice",
    "plain cross-entropy on every judgement",
    carrier=InPlace("full", train_everything),
    grid=grid(SMALL_RATES),
)
