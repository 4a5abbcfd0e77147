"""Prefixes that start from demonstrations: judged training items, as the frozen base model reads them.

A prefix of random numbers breaks what a causal model can do, and a short training hardly mends that. One that is
filled with the keys and values of a few prompts and their answers starts as in-context learning with them, and is
trained from there (PEFT's own comparison of methods; docs/research.md has ours). Where another carrier
trains, as in the preset `default`, the prefix stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from peft import PeftModel, PrefixTuningConfig
from peft.tuners.cartridge.utils import initialize_kv_prefix_from_past_key_values
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dcpc.data import Annotations
from dcpc.errors import UsageError
from dcpc.tasks import TaskShape
from dcpc.tasks.base import token_limit
from dcpc.training.arguments import DCPCTrainingArguments
from dcpc.training.carriers import Carrier
from dcpc.tuner.acting import dcpc_tuner
from dcpc.tuner.adapter_layer import device_of

USUAL, ROOM = 12, 512
"""Demonstrations of a training that names no number, and the tokens that they may have: the adapter keeps two vectors
per token and layer."""


def are_usual(
    carrier: Carrier, preset: str, settings: Mapping[str, Any], shape: TaskShape, base: PreTrainedModel
) -> bool:
    """Whether a training that names no number of demonstrations is to have some (docs/research.md, row 46).

    Args:
        carrier: what trains.
        preset: of its objective.
        settings: the carrier's; those that name another carrier or a prefix are left as they are.
        shape: the task.
        base: without an adapter.
    """
    named = {"num_virtual_tokens", "rank", "merge", "gate", "train_prefix"} & settings.keys()
    return (
        carrier.name == "dcpc"
        and preset == "default"
        and not named
        and shape.name == "label-words"  # for candidates validation judgements found no gain
        and _reads(base)
    )


def check_demonstrations(carrier: Carrier, settings: Mapping[str, Any]) -> None:
    """Refuse demonstrations where no prefix could be as long as they are, before anything is loaded.

    Raises:
        UsageError: the carrier has no prefix, or the settings give its length.
    """
    carrier.prefix_fields(1, carrier.preset)
    if "num_virtual_tokens" in settings:
        raise UsageError(
            "num_virtual_tokens is set, and a prefix of demonstrations is as long as these are.",
            fix="Leave one of the two out.",
        )


def demonstration_ids(
    shape: TaskShape,
    base: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: Annotations,
    arguments: DCPCTrainingArguments,
    max_length: int | None,
) -> list[list[int]]:
    """Tokens of every demonstration, to be read one behind the other.

    Args:
        shape: bound to the data and the tokenizer.
        base: the language model that is to read them.
        tokenizer: its own.
        train: judgements that are shown.
        arguments: how many, and the seed of the draw; None is `USUAL`, or as many as there are items and as have
            `ROOM` tokens together, and none if that is not one of every answer.
        max_length: tokens after which a text is cut.

    Raises:
        UsageError: the task has no answers that a language model reads, there are too few items, or they leave no
            room for a text.
    """
    number, asked = arguments.demonstrations, arguments.demonstrations is not None
    if number is None:
        number = min(USUAL, train.n_items)
    if number > train.n_items:
        raise UsageError(
            f"{number} demonstrations are asked for, and there are {train.n_items} training items.",
            fix="Ask for fewer: --set demonstrations=…",
        )
    judged = shape.judged(train)
    rows = balanced(train, judged, number, arguments.seed)
    items = train.items.iloc[train.item_codes[rows]]
    shown = shape.demonstrations(items, judged[rows].tolist(), tokenizer, max_length)
    longest = token_limit(tokenizer, max_length)
    if not asked:
        room = min(ROOM, (_positions(base) or ROOM + longest) - longest)
        shown = shown[: np.searchsorted(np.cumsum([len(each) for each in shown]), room, side="right")]
        return shown if len(shown) >= len(np.unique(judged)) else []
    _check_room(base, sum(len(each) for each in shown), longest)
    return shown


def balanced(train: Annotations, judged: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Judgements to be shown, as rows of the table, int [number]: one of an item, every label as often as another.

    Of an item with several judgements one with its most frequent label. Labels take turns.

    Args:
        train: J judgements.
        judged: what each speaks for, int [J].
        number: at most the number of items.
        seed: of the draw.
    """
    order = np.random.default_rng(seed).permutation(train.n_judgements)
    counts = train.counts[train.item_codes]  # [J, C]
    usual = counts[np.arange(len(counts)), train.label_codes] == counts.max(axis=1)
    order = order[usual[order]]
    order = order[
        np.sort(np.unique(train.item_codes[order], return_index=True)[1])
    ]  # the first of every item
    turn = np.zeros(len(order), dtype=int)
    for answer in np.unique(judged[order]):
        same = judged[order] == answer
        turn[same] = np.arange(same.sum())
    return order[np.argsort(turn, kind="stable")][:number]


def _positions(base: PreTrainedModel) -> int | None:
    """Positions that the model was made for, None where nothing says so."""
    return getattr(base.config.get_text_config(), "max_position_embeddings", None)


def _check_room(base: PreTrainedModel, length: int, longest: int) -> None:
    positions = _positions(base)
    if positions is not None and length + longest > positions:
        raise UsageError(
            f"the demonstrations have {length:,} tokens and a text up to {longest:,}, and "
            f"{type(base).__name__} reads {positions:,}.",
            fix="Ask for fewer demonstrations, or set a smaller max_length (--set max_length=…).",
        )


def start_prefix(model: nn.Module, ids: Sequence[int]) -> None:
    """Fill the prefix of an adapter with the base model's keys and values of as many tokens.

    Args:
        model: a PEFT model with a DCPC prefix, or with PEFT's prefix tuning.
        ids: the tokens.

    Raises:
        UsageError, ModelError: the adapter has no such prefix, or the base model reads on from none.
    """
    tuner = dcpc_tuner(model)
    if tuner is not None:
        from dcpc.tuner.paper.kv_start import initialize_kv_prefix  # most adapters do without it

        initialize_kv_prefix(tuner, ids)
        return
    assert isinstance(model, PeftModel)
    assert isinstance(model.active_peft_config, PrefixTuningConfig)  # other carriers have no prefix
    _start_pefts(model, ids)


def said(number: int) -> str:
    """A note for a training that has demonstrations without being told to."""
    return (
        f"{number} training items stand in front of every text as demonstrations, as the base model reads them; "
        "--set demonstrations=0 leaves them out."
    )


def advice(model: nn.Module, shape: TaskShape) -> list[str]:
    """A note for a training whose prefix starts from random numbers where it could start from demonstrations.

    Args:
        model: with its adapter.
        shape: what it is trained on.
    """
    tuner, config = dcpc_tuner(model), getattr(model, "active_peft_config", None)
    random = isinstance(config, PrefixTuningConfig)
    if tuner is not None and tuner.active_config is not None:
        own = tuner.active_config
        random = own.num_virtual_tokens > 0 and own.merge == "concat" and not own.gate and tuner.rotary
    if not random or type(shape).demonstrations is TaskShape.demonstrations:
        return []
    if not _reads(model.get_base_model()):  # type: ignore[operator]
        return []
    return [
        "The prefix starts from random numbers, which break what a causal model can do: --set demonstrations=12 "
        "starts it from training items, at a lower rate (--set learning_rate=1e-3)."
    ]


def _reads(base: Any) -> bool:
    """Whether a base model reads on from examples in front of a text."""
    return base.can_generate() and not base.config.is_encoder_decoder


@torch.no_grad()
def _start_pefts(model: PeftModel, ids: Sequence[int]) -> None:
    base: Any = model.get_base_model()
    if not _reads(base):
        raise UsageError(
            f"{type(base).__name__} is no causal language model: it reads no examples in front of a text.",
            fix="Leave demonstrations out.",
        )
    tokens = torch.tensor([list(ids)], device=device_of(base))  # [1,m]
    was_training = base.training
    base.eval()
    past = base(input_ids=tokens, attention_mask=torch.ones_like(tokens), use_cache=True).past_key_values
    base.train(was_training)
    initialize_kv_prefix_from_past_key_values(model, past_key_values=past)
