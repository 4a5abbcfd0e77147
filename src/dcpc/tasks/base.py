"""What an item is to a model: the seam between judgements and base models.

Everything that ends in one row of logits per item is one pipeline. Annotators' effects, the objective's terms, the
decision rule, distributions, persons and metrics are written once, over logits [B, C]; a `TaskShape` says only where
the logits come from:

    encode(items, tokenizer, max_length)   items -> token lists, once per data set
    collate(fields, tokenizer)             token lists of B items -> tensors with B rows each
    forward(model, tokens, ...)            tensors -> Scored: logits [B, C], styles, pooled states

To add one, write a file with a subclass of `TaskShape` that gives these three, `name` and `load`, and, where it needs
more than `text`, `check` and `bound`, and where judgements are no choice between its logits, a rule of its own
(`own_rule`); and enter it in `dcpc.tasks.SHAPES`. Its fields are settings: they are checked, can be set in recipes
(`task: {name: ..., field: ...}`) and on the command line (`--task NAME --set field=...`), and are written to
`task.json`, from which `dcpc predict` makes the shape again.

Two rules keep a shape usable everywhere. Every tensor of a batch has one row per item: rows are repeated (for every
annotator, or twice for two views) by indexing all of them alike. And the adapter sits on the model that `load` gives,
one of transformers' own classes, so that it loads with plain PEFT: what a shape makes of the model's output happens
outside of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dcpc.errors import DataError, UsageError
from dcpc.objective import ObjectiveConfig
from dcpc.tuner import Styles

if TYPE_CHECKING:
    from dcpc.data import Annotations
    from dcpc.training.rule import LearningRule

MOST_TOKENS = 512
"""Taken where neither the user nor the tokenizer says how long an input may be."""


@dataclass(frozen=True)
class Encoded:
    """Items as token lists.

    Attributes:
        fields: by name, one entry per item [I]; `input_ids` are the tokens by which items are sorted into batches.
        notes: what was cut or done otherwise than asked, one sentence each, to be shown to the user.
    """

    fields: dict[str, Sequence[Any]]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Scored:
    """What one forward pass over B items gives.

    Attributes:
        logits: [B, C] in at least float32, of the labels or candidates, before any annotator.
        styles: of the adapter's correction module; None where it has none.
        states: [L + 1, B, H] pooled states of the embeddings and every layer, over the prompt only; None where they
            were not asked for.
    """

    logits: Tensor
    styles: Styles | None = None
    states: Tensor | None = None


class TaskShape(BaseModel, ABC):
    """One way from items to logits; its fields are its settings. See the module's docstring.

    Attributes:
        name: what recipes and `task.json` call it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: ClassVar[str] = "{labels}"
    """Of the model card."""
    card: ClassVar[str | None] = None
    """How to load an adapter, for its model card, with `{task}` and `{labels}`; None for the usual text."""

    name: str

    @abstractmethod
    def load(
        self, base_model: str, labels: Sequence[str], **options: Any
    ) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """The base model and its tokenizer.

        Args:
            base_model: a short name, a Hugging Face id, or a local path.
            labels: the C labels in the order of the logits.
            **options: `trust_remote_code`, and what `from_pretrained` takes.

        Raises:
            ModelError: there is no such model, or it cannot give what this shape needs.
        """

    def check(self, annotations: Annotations) -> None:
        """Refuse data that this shape cannot be trained on, before anything is loaded.

        Raises:
            DCPCError: a column is missing, or labels do not fit the settings.
        """

    def bound(self, annotations: Annotations, tokenizer: PreTrainedTokenizerBase) -> TaskShape:
        """This shape with settings filled in that the training data and the tokenizer decide; it is what is saved.

        Raises:
            DCPCError: the settings do not fit them.
        """
        return self

    def notes(self, annotations: Annotations) -> Sequence[str]:
        """What is odd about the judgements to train on, one sentence each, to be shown to the user."""
        return ()

    def split_notes(self, train: Annotations, held_out: Annotations) -> Sequence[str]:
        """What is odd about what was held out, one sentence each, to be shown to the user."""
        return ()

    def judged(self, annotations: Annotations) -> np.ndarray:
        """Which logit each judgement speaks for, int [J]: its label's, unless `logit_names` are others.

        Raises:
            DataError: a judgement speaks for none.
        """
        return annotations.label_codes

    def logit_names(self, labels: Sequence[str]) -> list[str]:
        """What the logits are of, in their order: the labels, unless a rule of the shape's own says otherwise."""
        return list(labels)

    def own_rule(
        self, train: Annotations, objective: ObjectiveConfig, adapter: Mapping[str, Any]
    ) -> tuple[LearningRule | None, dict[str, Any]]:
        """How judgements become a loss, where the shape has a way of its own; None for that of the training.

        Args:
            train: judgements to train on.
            objective: of the training.
            adapter: settings of the adapter.

        Returns:
            The rule, and those settings that are not the rule's.

        Raises:
            UsageError: a setting has no effect here.
        """
        return None, dict(adapter)

    def loaded_rule(self, folder: Path) -> LearningRule | None:
        """The rule of an adapter that was saved in `folder`; None where it has none of its own.

        Raises:
            ModelError: what it needs is missing or unreadable.
        """
        return None

    @abstractmethod
    def encode(
        self, items: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, max_length: int | None
    ) -> Encoded:
        """Token lists of I items.

        Args:
            items: I rows with `text` and the shape's further columns.
            tokenizer: of the base model.
            max_length: tokens after which texts are cut; None for the tokenizer's own limit.

        Raises:
            UsageError: an item does not fit into `max_length`, or lacks something.
        """

    def demonstrations(
        self,
        items: pd.DataFrame,
        answers: Sequence[int],
        tokenizer: PreTrainedTokenizerBase,
        max_length: int | None,
    ) -> list[list[int]]:
        """Tokens of I items with their answers, each with what stands between it and a prompt behind it.

        Args:
            items: as for `encode`.
            answers: which logit is the answer of each, I of them.
            tokenizer: of the base model.
            max_length: of `encode`.

        Raises:
            UsageError: answers are nothing that a language model reads.
        """
        raise UsageError(
            f"demonstrations are prompts with their answers, and the task {self.name} has none.",
            fix="Leave demonstrations out, or train with --task choose or --label-words.",
        )

    @abstractmethod
    def collate(
        self, fields: Sequence[dict[str, Any]], tokenizer: PreTrainedTokenizerBase
    ) -> dict[str, Tensor]:
        """A batch of B items: tensors with B rows, `input_ids` and `attention_mask` [B, n] among them."""

    @abstractmethod
    def forward(
        self, model: nn.Module, tokens: dict[str, Tensor], *, states: bool = False, **preference: Any
    ) -> Scored:
        """A pass over B items.

        Args:
            model: the base model with its adapter.
            tokens: from `collate`.
            states: whether pooled states are wanted.
            **preference: `annotator_ids` [B] and `noise` [B, K], for adapters that take them.
        """


def refuse_one_side(annotations: Annotations) -> None:
    """Refuse votes that are all alike, where the vote is a label to classify.

    Raises:
        DataError: they are.
    """
    if annotations.scale == "preference" and len(set(annotations.label_codes.tolist())) < 2:
        raise DataError(
            "all votes are for one side, so that there is nothing to tell apart.",
            where=annotations.source,
            fix="Learn rewards from them, with --task prefer; or check the label column (--columns label=NAME).",
        )


def refuse_candidates(annotations: Annotations) -> None:
    """Refuse data with candidates, for a shape that would not read them.

    Raises:
        DataError: there are candidates.
    """
    if "choices" in annotations.table:
        raise DataError(
            "the data have candidates to choose from, which this task would not read.",
            where=annotations.source,
            fix="Train with --task choose, or remove the columns of the candidates.",
        )


def token_limit(tokenizer: PreTrainedTokenizerBase, max_length: int | None) -> int:
    """How many tokens an input may have: what the user allows, and never more than the model can take."""
    limit = min(max_length or tokenizer.model_max_length, tokenizer.model_max_length)
    return MOST_TOKENS if limit > 1_000_000 else limit  # tokenizers without a limit say so with a huge number
