"""Whether several replies can share a row: only where the attention keeps them apart."""

from __future__ import annotations

import inspect

import torch
from torch import nn

from dcpc.tasks.write.batches import PackingCollator, ReplyCollator
from dcpc.tasks.write.loss import base_of, reply_loss
from dcpc.tuner.acting import dcpc_tuner

TOLERANCE = 1e-3
"""Relative, of the loss of two packed texts: kernels and types round differently."""


@torch.no_grad()
def why_not_packed(model: nn.Module) -> str | None:
    """Why replies cannot be packed for a model, as the end of a sentence; None where they can.

    It is tried: the loss of two texts in one row must be that of the two texts apart.

    Args:
        model: a causal language model with an adapter.
    """
    tuner = dcpc_tuner(model)
    config = None if tuner is None else tuner.active_config
    if config is not None and config.correction:
        return "the correction module pools over a row, and would mix the prompts in it"
    base = base_of(model)
    if "position_ids" not in inspect.signature(base.forward).parameters:
        return f"{type(base).__name__} takes no positions, by which packed replies are told apart"
    size = base.config.get_text_config().vocab_size
    first, second = torch.arange(12) % size, (torch.arange(18) * 7 + 3) % size
    examples = [
        {"prompt": text[:4].tolist(), "reply": text[4:].tolist(), "writer": -1} for text in (first, second)
    ]
    device, was_training = next(model.parameters()).device, model.training
    model.eval()
    try:
        losses = [
            reply_loss(model, {name: value.to(device) for name, value in collate(examples).items()})
            for collate in (ReplyCollator(0), PackingCollator(0))
        ]
    finally:
        model.train(was_training)
    if not torch.isclose(losses[0], losses[1], rtol=TOLERANCE):
        return f"the attention of {type(base).__name__} lets a reply see those before it in its row"
    return None
