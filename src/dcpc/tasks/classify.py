"""Classifying with a head: one linear layer on what the base model makes of a text, a pair of texts, or a prompt with
two responses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dcpc.errors import UsageError
from dcpc.models import load_base_model
from dcpc.objective import pool_layers
from dcpc.tasks.base import Encoded, Scored, TaskShape, refuse_candidates, refuse_one_side, token_limit
from dcpc.tuner.acting import recorded_pass

if TYPE_CHECKING:
    from dcpc.data import Annotations


class Classify(TaskShape):
    """The logits of a classification head."""

    name: Literal["classify"] = "classify"

    def load(
        self, base_model: str, labels: Sequence[str], **options: Any
    ) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """The base model with an untrained head of C classes; see `TaskShape.load`."""
        return load_base_model(base_model, labels, **options)

    def check(self, annotations: Annotations) -> None:
        """Refuse data with candidates.

        Raises:
            DataError: there are some, or all votes are for one side.
        """
        refuse_candidates(annotations)
        refuse_one_side(annotations)

    def encode(
        self, items: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, max_length: int | None
    ) -> Encoded:
        """Texts as the tokenizer joins them; see `TaskShape.encode`."""
        fields = tokenize_items(items, tokenizer, max_length)
        return Encoded(fields)

    def collate(
        self, fields: Sequence[dict[str, Any]], tokenizer: PreTrainedTokenizerBase
    ) -> dict[str, Tensor]:
        """The tokenizer's fields, padded to the longest [B, n]."""
        return dict(tokenizer.pad(list(fields), return_tensors="pt"))

    def forward(
        self, model: nn.Module, tokens: dict[str, Tensor], *, states: bool = False, **preference: Any
    ) -> Scored:
        """The head's logits [B, C]; states are those of the encoder where there are two halves."""
        output, styles = recorded_pass(model, tokens, output_hidden_states=states or None, **preference)
        if not states:
            return Scored(output.logits.float(), styles)
        hidden = output.get("hidden_states")
        hidden = output.get("encoder_hidden_states") if hidden is None else hidden
        return Scored(output.logits.float(), styles, pool_layers(hidden, tokens["attention_mask"]).float())


def tokenize_items(
    items: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, max_length: int | None = None
) -> dict[str, Sequence[list[int]]]:
    """Token ids of items: a text, a pair of texts, or a prompt with two responses.

    Args:
        items: I rows with `text` and perhaps `text_pair`, or `response_a` and `response_b`.
        tokenizer: of the base model.
        max_length: tokens after which texts are cut.

    Returns:
        The tokenizer's fields, each a list of I token lists.

    Raises:
        UsageError: if `max_length` has no room for anything but the tokenizer's own marks.
    """
    limit = token_limit(tokenizer, max_length)
    second = None
    marks = tokenizer.num_special_tokens_to_add(pair="text_pair" in items or "response_a" in items)
    if limit <= marks:
        raise UsageError(
            f"max_length is {limit}, and {marks} of these tokens are the tokenizer's own marks: no text is left.",
            fix="Choose a larger one, as 128.",
        )
    if "text_pair" in items:
        second = items["text_pair"].tolist()
    elif "response_a" in items:
        separator = f" {tokenizer.sep_token or tokenizer.eos_token or '|'} "
        second = (items["response_a"] + separator + items["response_b"]).tolist()
    encoded = tokenizer(items["text"].tolist(), second, truncation=True, max_length=limit)
    return dict(encoded)
