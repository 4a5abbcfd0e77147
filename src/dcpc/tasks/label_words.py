"""Classifying with a language model's own words: each label has words, and their likelihood is the label's.

    logit_c = log Σ_w p(w | prompt)        over the words w of label c

No head is trained, so that what the model knows of the words counts from the first step. A label may have several
words, as an answer that is written in registers (yes: Yes, Yeah, Indeed), whose probabilities add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import torch
from pydantic import Field
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dcpc.data.annotations import ITEM_COLUMNS
from dcpc.errors import LabelError, UsageError
from dcpc.models import load_language_model
from dcpc.names import first_of
from dcpc.tasks.base import Encoded, Scored, TaskShape, refuse_candidates, token_limit
from dcpc.tasks.continuations import NEVER, prompts_and_continuations, score_continuations
from dcpc.tasks.prompts import PromptTemplate, check_slots, encoded_prompts

if TYPE_CHECKING:
    from dcpc.data import Annotations

QUESTION = "Which label fits: {labels}?"
TEMPLATES = {
    ("text",): "{text}\n\n" + QUESTION,
    ("text", "text_pair"): "{text}\n\n{text_pair}\n\n" + QUESTION,
    ("text", "response_a", "response_b"): (
        "{text}\n\nResponse a: {response_a}\n\nResponse b: {response_b}\n\nWhich is better: {labels}?"
    ),
}
"""By the columns of the items, unless one is given."""
ANSWER = "\nAnswer:"
"""Ends such a template where prompts are no chats."""


class LabelWords(TaskShape):
    """Label words scored at the end of a prompt.

    Attributes:
        words: the words of each label; empty takes the labels themselves.
        template: of the prompt, with the slots `{text}`, `{text_pair}`, `{response_a}`, `{response_b}` (all columns
            that there are must have theirs) and `{labels}`, the first word of every label; None for a plain one.
        system: system prompt; None for the chat template's own.
        chat: whether prompts go through the tokenizer's chat template; None wherever it has one.
        normalise: divide a word's log-likelihood by its number of tokens.
        end_token: score the end of the text after each word too, so that one word may begin another.
    """

    name: Literal["label-words"] = "label-words"
    words: dict[str, list[str]] = Field(default_factory=dict)
    template: str | None = None
    system: str | None = None
    chat: bool | None = None
    normalise: bool = False
    end_token: bool = False

    def load(
        self, base_model: str, labels: Sequence[str], **options: Any
    ) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """The base model with its language head; see `TaskShape.load`."""
        return load_language_model(base_model, **options)

    def check(self, annotations: Annotations) -> None:
        """Refuse words for other labels than the data have, and a template that leaves out a column.

        Raises:
            DataError: there are candidates.
            LabelError: labels and words do not match.
            UsageError: the template does not fit.
        """
        refuse_candidates(annotations)
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

    def collate(
        self, fields: Sequence[dict[str, Any]], tokenizer: PreTrainedTokenizerBase
    ) -> dict[str, Tensor]:
        """Padded prompts, and `continuations` [B, R, k], padded with −1."""
        return prompts_and_continuations(fields, tokenizer)

    def forward(
        self, model: nn.Module, tokens: dict[str, Tensor], *, states: bool = False, **preference: Any
    ) -> Scored:
        """Logits [B, C] of the labels: the log of the sum of their words' likelihoods."""
        found = score_continuations(model, tokens, states=states, normalise=self.normalise, **preference)
        label = torch.tensor(
            [code for code, words in enumerate(self.words.values()) for _ in words],
            device=found.scores.device,
        )  # [R]
        logits = added_up(found.scores, label, len(self.words))
        return Scored(logits, found.styles, found.states)

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
        firsts = [words[0] for words in self.words.values()]
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
