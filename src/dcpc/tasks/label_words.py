"""Classifying with a language model's own words: each label has words, and their likelihood is the label's.

    logit_c = log Σ_w p(w | prompt)        over the words w of label c

No head is trained, so that what the model knows of the words counts from the first step. A label may have several
words (yes: Yes, Yeah, Indeed), whose probabilities add up. Where it is known in which register each judgement was
written, registers are learned as well: `dcpc.training.registers`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dcpc.data.annotations import ITEM_COLUMNS
from dcpc.errors import DataError, LabelError, UsageError
from dcpc.models import load_language_model
from dcpc.names import first_of
from dcpc.objective import ObjectiveConfig
from dcpc.tasks.base import Encoded, Scored, TaskShape, refuse_candidates, refuse_one_side, token_limit
from dcpc.tasks.continuations import NEVER, prompts_and_continuations, score_continuations
from dcpc.tasks.prompts import PromptTemplate, check_slots, encoded_prompts

if TYPE_CHECKING:
    from dcpc.data import Annotations
    from dcpc.training.rule import LearningRule

QUESTION = "Which label fits: {labels}?"
TEMPLATES = {
    ("text",): "{text}\n\n" + QUESTION,
    ("text", "text_pair"): "{text}\n\n{text_pair}\n\n" + QUESTION,
    ("text", "response_a", "response_b"): (
        "{text}\n\nResponse a: {response_a}\n\nResponse b: {response_b}\n\nWhich is better: {labels}?"
    ),
}
"""By the columns of the items, unless one is given."""
COLUMN = "register"
"""Of the judgements' table: the register in which each was written, where the task has registers."""
ANSWER = "\nAnswer:"
"""Ends such a template where prompts are no chats."""


class LabelWords(TaskShape):
    """Label words scored at the end of a prompt.

    Attributes:
        words: the words of each label; empty takes the labels themselves.
        registers: register → label → its words in that register, instead of `words`. The data then have a column
            `register`; a person's register is learned with their answers, and labels add up over registers.
        template: of the prompt, with the slots `{text}`, `{text_pair}`, `{response_a}`, `{response_b}` (all columns
            that there are must have theirs) and `{labels}`, the first word of every label, with registers the label
            itself; None for a plain one.
        system: system prompt; None for the chat template's own.
        chat: whether prompts go through the tokenizer's chat template; None wherever it has one.
        normalise: divide a word's log-likelihood by its number of tokens.
        end_token: score the end of the text after each word too, so that one word may begin another.
    """

    name: Literal["label-words"] = "label-words"
    words: dict[str, list[str]] = Field(default_factory=dict)
    registers: dict[str, dict[str, list[str]]] = Field(default_factory=dict)
    template: str | None = None
    system: str | None = None
    chat: bool | None = None
    normalise: bool = False
    end_token: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> LabelWords:
        if self.registers and len(self.registers) < 2:
            raise ValueError("names one register, and they are told apart")
        if self.registers and self.words and self.words != self._words_of_registers(self.words):
            raise ValueError("has words and registers; one of the two is needed")
        return self

    def load(
        self, base_model: str, labels: Sequence[str], **options: Any
    ) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """The base model with its language head; see `TaskShape.load`."""
        return load_language_model(base_model, **options)

    def check(self, annotations: Annotations) -> None:
        """Refuse words for other labels than the data have, and a template that leaves out a column.

        Raises:
            DataError: there are candidates; or judgements do not say their register.
            LabelError: labels and words do not match.
            UsageError: the template does not fit.
        """
        refuse_candidates(annotations)
        refuse_one_side(annotations)
        if self.registers:
            self._check_registers(annotations)
        if self.words and set(self.words) != set(annotations.labels):
            raise LabelError(
                f"words are given for the labels {first_of(list(self.words), 5)}, but the data have "
                f"{first_of(list(annotations.labels), 5)}.",
                fix="Give words for every label and no other, as --words 'yes=Yes|Yeah,no=No'.",
            )
        if self.template is not None:
            check_slots(self.template, [name for name in ITEM_COLUMNS if name in annotations.table])

    def bound(self, annotations: Annotations, tokenizer: PreTrainedTokenizerBase) -> LabelWords:
        """With the words in the order of the data's labels, and the template that is used.

        Raises:
            UsageError: a word has no tokens, or words cannot be told apart.
        """
        words = {label: self.words.get(label) or [label] for label in annotations.labels}
        if self.registers:
            words = self._words_of_registers(annotations.labels)
        template = self.template
        if template is None:
            columns = tuple(name for name in ITEM_COLUMNS if name in annotations.table)
            template = TEMPLATES.get(columns, TEMPLATES["text",])
            if not (getattr(tokenizer, "chat_template", None) if self.chat is None else self.chat):
                template += ANSWER
        shape = self.model_copy(update={"words": words, "template": template})
        shape.continuations(shape._prompt(tokenizer))
        return shape

    def encode(
        self, items: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, max_length: int | None
    ) -> Encoded:
        """Prompts; the words are the same for every item. See `TaskShape.encode`."""
        prompt = self._prompt(tokenizer)
        continuations = self.continuations(prompt)
        room = token_limit(tokenizer, max_length) - max(map(len, continuations))
        encoded = encoded_prompts(prompt, items, room)
        return Encoded({**encoded.fields, "continuations": [continuations] * len(items)}, encoded.notes)

    def demonstrations(
        self,
        items: pd.DataFrame,
        answers: Sequence[int],
        tokenizer: PreTrainedTokenizerBase,
        max_length: int | None,
    ) -> list[list[int]]:
        """Prompts with the first word of their label; see `TaskShape.demonstrations`."""
        prompt = self._prompt(tokenizer)
        words = [prompt.continuation(words[0]) for words in self._classes()]
        prompts = self.encode(items, tokenizer, max_length).fields["input_ids"]
        return prompt.demonstrations(prompts, [words[answer] for answer in answers])

    def collate(
        self, fields: Sequence[dict[str, Any]], tokenizer: PreTrainedTokenizerBase
    ) -> dict[str, Tensor]:
        """Padded prompts, and `continuations` [B, R, k], padded with −1."""
        return prompts_and_continuations(fields, tokenizer)

    def forward(
        self, model: nn.Module, tokens: dict[str, Tensor], *, states: bool = False, **preference: Any
    ) -> Scored:
        """Logits [B, C] of the labels: the log of the sum of their words' likelihoods.

        With G registers [B, C·G], a label's registers side by side.
        """
        found = score_continuations(model, tokens, states=states, normalise=self.normalise, **preference)
        sizes = [len(words) for words in self._classes()]
        label = torch.tensor(
            [code for code, size in enumerate(sizes) for _ in range(size)], device=found.scores.device
        )  # [R]
        logits = added_up(found.scores, label, len(sizes))
        return Scored(logits, found.styles, found.states)

    def logit_names(self, labels: Sequence[str]) -> list[str]:
        """The labels, or every label in every register."""
        if not self.registers:
            return list(labels)
        return [f"{label}, {register}" for label in labels for register in self.registers]

    def judged(self, annotations: Annotations) -> np.ndarray:
        """Its label's logit, or that of the label in the register in which the judgement was written, int [J]."""
        if not self.registers:
            return annotations.label_codes
        self._check_registers(annotations)
        place = {name: number for number, name in enumerate(self.registers)}
        registers = annotations.table[COLUMN].map(place).to_numpy(dtype=np.int64)
        return annotations.label_codes * len(self.registers) + registers

    def own_rule(
        self, train: Annotations, objective: ObjectiveConfig, adapter: Mapping[str, Any]
    ) -> tuple[LearningRule | None, dict[str, Any]]:
        """With registers, that answers are learned in them; see `TaskShape.own_rule`."""
        return self._register_rule(objective), dict(adapter)

    def loaded_rule(self, folder: Path) -> LearningRule | None:
        """With registers, that answers are read over them."""
        return self._register_rule(ObjectiveConfig.preset("none"))

    def _register_rule(self, objective: ObjectiveConfig) -> LearningRule | None:
        from dcpc.training.registers import RegisterRule

        return RegisterRule(objective, list(self.registers)) if self.registers else None

    def _classes(self) -> list[list[str]]:
        """The words of every logit."""
        if not self.registers:
            return list(self.words.values())
        return [self.registers[register][label] for label in self.words for register in self.registers]

    def _words_of_registers(self, labels: Iterable[str]) -> dict[str, list[str]]:
        return {
            label: [word for own in self.registers.values() for word in own.get(label, ())]
            for label in labels
        }

    def _check_registers(self, annotations: Annotations) -> None:
        for register, words in self.registers.items():
            if set(words) != set(annotations.labels) or not all(words.values()):
                raise LabelError(
                    f"the register `{register}` has words for {first_of(list(words), 5)}, but the labels are "
                    f"{first_of(list(annotations.labels), 5)}.",
                    fix="Give every register words for every label and no other.",
                )
        known = ", ".join(self.registers)
        if COLUMN not in annotations.table:
            raise DataError(
                f"the task has registers, and there is no column `{COLUMN}` that says in which one each judgement "
                "was written.",
                where=annotations.source,
                fix=f"Add the column, with {known}; or train with --words.",
            )
        given = annotations.table[COLUMN].astype(object)
        odd = ~given.isin(list(self.registers))
        if odd.any():
            first = given[odd].iloc[0]
            raise DataError(
                f"{int(odd.sum()):,} of {len(given):,} judgements have a register that the task does not name; the "
                f'first is "{first}".',
                where=annotations.source,
                fix=f"Registers are: {known}. Name words for further ones, or leave these judgements out.",
            )

    def continuations(self, prompt: PromptTemplate) -> list[list[int]]:
        """Tokens of all words, label by label.

        Raises:
            UsageError: a word has no tokens, two have the same, or one begins another.
        """
        words = [word for each in self.words.values() for word in each]
        ids = [prompt.continuation(word) for word in words]
        for word, tokens in zip(words, ids, strict=True):
            if not tokens:
                raise UsageError(
                    f"the label word `{word}` has no tokens.", fix="Give it a word, as --words 'LABEL=word'."
                )
        end = [] if not self.end_token else [prompt.tokenizer.eos_token_id]
        for i, first in enumerate(ids):
            for j, second in enumerate(ids):
                if i < j and first == second:
                    raise UsageError(
                        f"the label words `{words[i]}` and `{words[j]}` are the same to the tokenizer.",
                        fix="Choose another word for one of them, with --words.",
                    )
                if i != j and not end and second[: len(first)] == first:
                    raise UsageError(
                        f"the label word `{words[i]}` begins `{words[j]}`, which could then never be the likelier.",
                        fix="Choose other words with --words, or score where they end: --set end_token=true.",
                    )
        return [tokens + end for tokens in ids]

    def _prompt(self, tokenizer: PreTrainedTokenizerBase) -> PromptTemplate:
        firsts = list(self.words) if self.registers else [words[0] for words in self.words.values()]
        return PromptTemplate(
            self.template or TEMPLATES["text",], tokenizer, firsts, system=self.system, chat=self.chat
        )


def added_up(scores: Tensor, label: Tensor, n_labels: int) -> Tensor:
    """`log Σ_w exp(score_w)` over the words of each label.

    Args:
        scores: log-likelihoods of R words [B, R].
        label: of each word [R].
        n_labels: C.

    Returns:
        [B, C].
    """
    own = label[None, :] == torch.arange(n_labels, device=label.device)[:, None]  # [C, R]
    each = torch.where(own[None], scores[:, None, :], scores.new_tensor(NEVER))  # [B, C, R]
    return each.logsumexp(dim=-1)
