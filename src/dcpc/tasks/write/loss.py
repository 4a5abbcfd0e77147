"""The loss of written replies: negative log-likelihood of the reply's tokens, as their writer's."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.nn import functional

from dcpc.tasks.write.batches import IGNORED
from dcpc.tuner import DCPCModel
from dcpc.tuner.acting import dcpc_tuner

ROWS_AT_ONCE = 4
"""Rows whose log-probabilities are computed in float32 at a time: vocabularies are large."""


def writers_act(model: nn.Module) -> DCPCModel | None:
    """The tuner of a model in which writers act; None for adapters that know no writers."""
    tuner = dcpc_tuner(model)
    config = None if tuner is None else tuner.active_config
    return tuner if config is not None and config.models_annotators else None


def writers_of(model: nn.Module) -> list[str]:
    """The writers whose styles an adapter knows, in the order of their numbers; none where no writers act."""
    tuner = writers_act(model)
    config = None if tuner is None else tuner.active_config
    return [] if config is None else list(config.annotators or [])


def base_of(model: nn.Module) -> Any:
    """The base model under an adapter, or the model itself."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


def inputs_of(model: nn.Module, batch: Mapping[str, Tensor], *, as_writers: bool = True) -> dict[str, Tensor]:
    """The fields of a batch that the model takes; without the writers where they do not act, or shall not.

    Args:
        model: a causal language model, as a rule with an adapter.
        batch: from `ReplyCollator` or `PackingCollator`.
        as_writers: False predicts everything as the dominant style.
    """
    inputs = dict(batch)
    writers = inputs.pop("annotator_ids", None)
    if writers is not None and as_writers and writers_act(model) is not None:
        inputs["annotator_ids"] = writers
    if (
        "position_ids" not in inputs
        and "position_ids" in inspect.signature(base_of(model).forward).parameters
    ):
        # Without them, padding in front of a text would count: models with learned positions read it elsewhere.
        inputs["position_ids"] = (inputs["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)
    return inputs


def reply_loss(model: nn.Module, batch: Mapping[str, Tensor], n_tokens: Tensor | int | None = None) -> Tensor:
    """Sum of −log p(token | what stands before it, writer) over the replies' tokens, divided by `n_tokens`.

    It is the base model's own loss with labels of −100 on everything else. Where the model can leave logits out, only
    those of the last tokens are computed.

    Args:
        model: a causal language model, as a rule with an adapter.
        batch: from `ReplyCollator` or `PackingCollator`.
        n_tokens: by default the number of the batch's reply tokens, so that the loss is their mean.
    """
    inputs: dict[str, Any] = inputs_of(model, batch)
    inputs |= _last_logits(model, inputs["labels"])
    if n_tokens is not None:
        inputs["num_items_in_batch"] = n_tokens
    return model(**inputs, use_cache=False).loss


@torch.no_grad()
def reply_log_likelihoods(
    model: nn.Module, batch: Mapping[str, Tensor], *, as_writers: bool = True
) -> tuple[Tensor, Tensor]:
    """Log-likelihood of every reply, in nats, and how many tokens it has; both [B], for padded batches.

    Args:
        model: in evaluation mode.
        batch: from `ReplyCollator`.
        as_writers: False predicts everything as the dominant style.
    """
    inputs = inputs_of(model, batch, as_writers=as_writers)
    kept = _last_logits(model, inputs["labels"])
    labels = kept.get("shift_labels", _shifted(inputs["labels"]))  # [B,k]
    # Labels tell the correction module where the prompt ends.
    logits = model(**inputs, **kept, use_cache=False).logits  # [B,k,V]
    sums = [
        functional.cross_entropy(
            rows.float().transpose(1, 2), targets, ignore_index=IGNORED, reduction="none"
        ).sum(dim=1)
        for rows, targets in zip(logits.split(ROWS_AT_ONCE), labels.split(ROWS_AT_ONCE), strict=True)
    ]
    return -torch.cat(sums), (labels != IGNORED).sum(dim=1)


def _shifted(labels: Tensor) -> Tensor:
    """For each position [B,n] the label of the next one, which its logits predict."""
    return functional.pad(labels, (0, 1), value=IGNORED)[:, 1:]


def _last_logits(model: nn.Module, labels: Tensor) -> dict[str, Any]:
    """Arguments by which a model computes only the logits from the first reply token's on; none where it cannot."""
    base = base_of(model)
    if "logits_to_keep" not in inspect.signature(base.forward).parameters:
        return {}
    learned = (labels != IGNORED).any(dim=0).nonzero()  # positions that have a label in some row
    first = int(learned[0]) - 1 if len(learned) else labels.shape[1] - 1
    keep = labels.shape[1] - max(first, 0)
    return {"logits_to_keep": keep, "shift_labels": _shifted(labels)[:, -keep:].contiguous()}
