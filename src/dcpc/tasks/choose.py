"""Choosing among candidates: each goes on from the prompt, the likelier is chosen (COPA, ReCoRD, multiple choice).

    logit_c = log p(candidate_c | prompt) / number of its tokens

Candidates are the item's own, and items may have different numbers of them. A label is the place of the chosen one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dcpc.errors import DataError, UsageError
from dcpc.models import load_language_model
from dcpc.tasks.base import Encoded, Scored, TaskShape, token_limit
from dcpc.tasks.continuations import NEVER, prompts_and_continuations, score_continuations
from dcpc.tasks.prompts import PromptTemplate, check_slots, encoded_prompts

if TYPE_CHECKING:
    from dcpc.data import Annotations


class Choose(TaskShape):
    """Candidates scored behind a prompt.

    Attributes:
        template: of the prompt, with the slots `{text}` and, where there is one, `{text_pair}`; None for the texts,
            an empty line between them.
        placeholder: a part of `text_pair` in whose place the candidate belongs (ReCoRD's `@placeholder`): what stands
            before it ends the prompt, and what stands behind it goes on behind the candidate. None where candidates
            stand alone.
        system: system prompt; None for the chat template's own.
        chat: whether prompts go through the tokenizer's chat template. By default they do not: candidates go on with
            the text rather than answer it.
        normalise: divide log-likelihoods by the number of tokens, so that short candidates have no advantage.
        n_choices: C, the most candidates of an item; found from the data.
    """

    name: Literal["choose"] = "choose"
    template: str | None = None
    placeholder: str | None = None
    system: str | None = None
    chat: bool | None = False
    normalise: bool = True
    n_choices: int | None = None

    def load(
        self, base_model: str, labels: Sequence[str], **options: Any
    ) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """The base model with its language head; see `TaskShape.load`."""
        return load_language_model(base_model, **options)

    def check(self, annotations: Annotations) -> None:
        """Refuse data without candidates, and a template or placeholder that does not fit them.

        Raises:
            DataError: there are no candidates.
            UsageError: the template has no slot for a text, or the placeholder is not in one.
        """
        if "choices" not in annotations.table:
            raise DataError(
                "there are no candidates to choose from.",
                where=annotations.source,
                fix="Give them as columns choice1, choice2, …, or as a column `choices` with lists.",
            )
        pair = "text_pair" in annotations.table
        if self.template is not None:
            check_slots(self.template, ["text", "text_pair"] if pair else ["text"])
        if self.placeholder is not None:
            _check_placeholder(annotations.items, self.placeholder)

    def bound(self, annotations: Annotations, tokenizer: PreTrainedTokenizerBase) -> Choose:
        """With the template that is used and the number of candidates."""
        pair = "text_pair" in annotations.table
        template = self.template or ("{text}\n\n{text_pair}" if pair else "{text}")
        return self.model_copy(update={"template": template, "n_choices": len(annotations.labels)})

    def encode(
        self, items: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, max_length: int | None
    ) -> Encoded:
        """Prompts and candidates; see `TaskShape.encode`."""
        if "choices" not in items:
            raise DataError(
                "there are no candidates to choose from.",
                fix="Give them as columns choice1, choice2, …, or as a column `choices` with lists.",
            )
        prompt = self._prompt(tokenizer)
        choices = [json.loads(each) for each in items["choices"]]
        if self.placeholder is not None:
            _check_placeholder(items, self.placeholder)
            parts = [each.split(self.placeholder, 1) for each in items["text_pair"]]
            items = items.assign(text_pair=[before.rstrip() for before, _ in parts])
            choices = [
                [choice + after for choice in each] for each, (_, after) in zip(choices, parts, strict=True)
            ]
        self._check_numbers(choices)
        continuations = [[prompt.continuation(choice) for choice in each] for each in choices]
        longest = max(len(ids) for each in continuations for ids in each)
        encoded = encoded_prompts(prompt, items, token_limit(tokenizer, max_length) - longest)
        return Encoded({**encoded.fields, "continuations": continuations}, encoded.notes)

    def demonstrations(
        self,
        items: pd.DataFrame,
        answers: Sequence[int],
        tokenizer: PreTrainedTokenizerBase,
        max_length: int | None,
    ) -> list[list[int]]:
        """Prompts with the chosen candidate; see `TaskShape.demonstrations`."""
        fields = self.encode(items, tokenizer, max_length).fields
        chosen = [each[answer] for each, answer in zip(fields["continuations"], answers, strict=True)]
        return self._prompt(tokenizer).demonstrations(fields["input_ids"], chosen)

    def collate(
        self, fields: Sequence[dict[str, Any]], tokenizer: PreTrainedTokenizerBase
    ) -> dict[str, Tensor]:
        """Padded prompts, and `continuations` [B, C', k] of the most candidates in the batch, padded with −1."""
        return prompts_and_continuations(fields, tokenizer)

    def forward(
        self, model: nn.Module, tokens: dict[str, Tensor], *, states: bool = False, **preference: Any
    ) -> Scored:
        """Logits [B, C] of the candidates; those that an item does not have are never chosen."""
        found = score_continuations(model, tokens, states=states, normalise=self.normalise, **preference)
        lacking = (self.n_choices or 0) - found.scores.shape[1]
        logits = pad(found.scores, (0, lacking), value=NEVER) if lacking > 0 else found.scores
        return Scored(logits, found.styles, found.states)

    def _prompt(self, tokenizer: PreTrainedTokenizerBase) -> PromptTemplate:
        return PromptTemplate(self.template or "{text}", tokenizer, system=self.system, chat=self.chat)

    def _check_numbers(self, choices: Sequence[Sequence[str]]) -> None:
        most = max(map(len, choices))
        if self.n_choices is not None and most > self.n_choices:
            raise DataError(
                f"an item has {most} candidates, and the adapter was trained on at most {self.n_choices}.",
                fix="Train with --labels choice1,choice2,… up to the most that there will be.",
            )


def _check_placeholder(items: pd.DataFrame, placeholder: str) -> None:
    if "text_pair" not in items:
        raise UsageError(
            f"the placeholder `{placeholder}` belongs into `text_pair`, and there is no such column.",
            fix="Name the column that holds it: --columns text_pair=YOUR_COLUMN.",
        )
    without = ~items["text_pair"].str.contains(placeholder, regex=False)
    if without.any():
        first = items.loc[without.to_numpy().argmax()]
        raise UsageError(
            f"{int(without.sum()):,} of {len(items):,} items have no `{placeholder}` in their text_pair; the first "
            f"is {first.get('item_id', first.name)}.",
            fix="Correct the placeholder, or remove these items.",
        )
