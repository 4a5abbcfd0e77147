"""From an item to the text that a language model reads: a template with slots, in the chat form where there is one.

Where an input is too long its passage is cut at the end: the longer of its texts. Template, question, labels and the
chat's own marks are never cut.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from dcpc.errors import UsageError
from dcpc.names import did_you_mean
from dcpc.tasks.base import Encoded

SLOT = re.compile(r"\{(\w+)\}")
TEXTS = ("text", "text_pair", "response_a", "response_b")
"""Slots that an item fills."""
SLOTS = (*TEXTS, "labels")


@dataclass(frozen=True)
class Prompt:
    """One item's prompt.

    Attributes:
        ids: its tokens.
        cut: how many characters of the passage were left out.
    """

    ids: list[int]
    cut: int = 0


class PromptTemplate:
    """A template, bound to a tokenizer.

    Args:
        template: text with the slots `{text}`, `{text_pair}`, `{response_a}`, `{response_b}` and `{labels}`.
        tokenizer: of the base model.
        labels: what `{labels}` stands for.
        system: system prompt of the chat; None for the chat template's own.
        chat: whether to use the tokenizer's chat template; None wherever it has one.

    Attributes:
        notes: what was done otherwise than asked.
        chats: whether prompts are chats.

    Raises:
        UsageError: a slot is not known, or a chat is asked for and the tokenizer has no template.
    """

    def __init__(
        self,
        template: str,
        tokenizer: PreTrainedTokenizerBase,
        labels: Sequence[str] = (),
        *,
        system: str | None = None,
        chat: bool | None = None,
    ) -> None:
        check_slots(template)
        self.template, self.tokenizer, self.labels = template, tokenizer, ", ".join(labels)
        has_chat = bool(getattr(tokenizer, "chat_template", None))
        if chat and not has_chat:
            raise UsageError("the tokenizer has no chat template.", fix="Leave chat=true out.")
        self.chats = has_chat if chat is None else chat
        self.system = system
        self.notes: list[str] = []
        self.keeps_system = True
        if self.chats and system is not None and not self._keeps_system(system):
            self.keeps_system = False
            self.notes.append(
                "The tokenizer's chat template has no system turn: the system prompt stands at the head of the "
                "user's turn."
            )

    def text(self, item: Mapping[str, str]) -> str:
        """The whole prompt of an item, with the marks of the chat."""
        body = filled(self.template, {**item, "labels": self.labels})
        if not self.chats:
            return body if self.system is None else f"{self.system}\n\n{body}"
        return self._chat(body)

    def ids(self, item: Mapping[str, str]) -> list[int]:
        """Tokens of the whole prompt."""
        # A chat template has written the marks of the beginning; a plain text gets the tokenizer's own.
        return self.tokenizer(self.text(item), add_special_tokens=not self.chats)["input_ids"]

    def continuation(self, word: str) -> list[int]:
        """Tokens of a word that follows any prompt.

        Where the tokenizer lets them, as they are behind a prompt (with the space before them, or the chat's own); an
        encoder-decoder's prompt ends with a mark of its own, and its decoder starts afresh.
        """
        if not word.strip():
            return []
        item = dict.fromkeys(TEXTS, "x")
        text, special = self.text(item), not self.chats
        before = self.tokenizer(text, add_special_tokens=special)["input_ids"]
        after = self.tokenizer(text + self._space(text) + word, add_special_tokens=special)["input_ids"]
        if after[: len(before)] == before:
            return after[len(before) :]
        return self.tokenizer(word, add_special_tokens=False)["input_ids"]

    def _space(self, prompt: str) -> str:
        """What stands between a prompt and its answer."""
        if not self.chats:
            return "" if prompt[-1:].isspace() else " "
        turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "x"}]
        start = self.tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
        whole = self.tokenizer.apply_chat_template(turns, tokenize=False)
        between, answer, _ = whole.removeprefix(start).partition("x")
        return between if whole.startswith(start) and answer and not between.strip() else ""

    def demonstrations(self, prompts: Sequence[list[int]], answers: Sequence[list[int]]) -> list[list[int]]:
        """Tokens of prompts with their answers, to stand in front of a prompt one behind the other.

        The tokenizer's mark of the beginning stands in the first alone.

        Args:
            prompts: tokens of I prompts.
            answers: tokens of their answers, I of them.
        """
        end = self.tokenizer(self._end(), add_special_tokens=False)["input_ids"]
        begin = None if self.chats else self.tokenizer.bos_token_id
        return [
            [*prompt[1 if i > 0 and prompt[:1] == [begin] else 0 :], *answer, *end]
            for i, (prompt, answer) in enumerate(zip(prompts, answers, strict=True))
        ]

    def _end(self) -> str:
        """What stands between an answer and the next prompt: an empty line, or how the chat ends a turn."""
        if not self.chats:
            return "\n\n"
        turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "x"}]
        return self.tokenizer.apply_chat_template(turns, tokenize=False).rpartition("x")[2]

    def fitted(self, item: Mapping[str, str], limit: int, name: str) -> Prompt:
        """The prompt in at most `limit` tokens.

        Args:
            item: its texts by slot.
            limit: most tokens.
            name: of the item, for the message.

        Raises:
            UsageError: it does not fit, even with an empty passage.
        """
        ids = self.ids(item)
        if len(ids) <= limit:
            return Prompt(ids)
        slot = max(
            (s for s in TEXTS if s in item and f"{{{s}}}" in self.template), key=lambda s: len(item[s])
        )
        passage, kept = item[slot], item[slot]
        while len(ids) > limit and kept:
            kept = self._without(kept, len(ids) - limit)
            ids = self.ids({**item, slot: kept})
        if len(ids) > limit:
            raise UsageError(
                f"the prompt of item {name} has {len(ids)} tokens even without its passage (`{slot}`), and at most "
                f"{limit} fit.",
                fix="Choose a larger max_length that the model can take (--set max_length=…), or a shorter template.",
            )
        return Prompt(ids, len(passage) - len(kept))

    def _without(self, text: str, n_tokens: int) -> str:
        """A text without its last tokens, at least one character shorter."""
        fast = self.tokenizer.is_fast
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=fast)
        n_kept = max(len(encoded["input_ids"]) - n_tokens, 0)
        if n_kept == 0:
            return ""
        end = (
            encoded["offset_mapping"][n_kept - 1][1]
            if fast
            else len(text) * n_kept // len(encoded["input_ids"])
        )
        return text[: min(end, len(text) - 1)].rstrip()

    def _chat(self, body: str) -> str:
        turns = [{"role": "user", "content": body}]
        if self.system is not None and self.keeps_system:
            turns.insert(0, {"role": "system", "content": self.system})
        elif self.system is not None:
            turns[0]["content"] = f"{self.system}\n\n{body}"
        try:
            return self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except TemplateError as error:
            raise UsageError(
                f"the tokenizer's chat template refuses a prompt: {error}",
                fix="Set chat=false for a plain prompt.",
            ) from error

    def _keeps_system(self, system: str) -> bool:
        turns = [{"role": "system", "content": system}, {"role": "user", "content": "?"}]
        try:
            text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except TemplateError:
            return False
        return system.strip() in text


def encoded_prompts(prompt: PromptTemplate, items: pd.DataFrame, room: int) -> Encoded:
    """The prompts of items as `input_ids`, and a note where passages were cut.

    Args:
        prompt: how they are made.
        items: I rows with the columns that the template has slots for.
        room: most tokens of a prompt.

    Raises:
        UsageError: a prompt does not fit.
    """
    columns = [name for name in TEXTS if name in items]
    names = items["item_id"] if "item_id" in items else items.index.astype(str)
    found = [
        prompt.fitted(dict(zip(columns, texts, strict=True)), room, name)
        for name, texts in zip(names, items[columns].itertuples(index=False, name=None), strict=True)
    ]
    notes, cut = list(prompt.notes), [each.cut for each in found if each.cut]
    if cut:
        notes.append(
            f"{len(cut):,} of {len(found):,} prompts were too long for {room} tokens: the ends of their passages "
            f"were left out, {sum(cut) // len(cut):,} characters on average. A larger max_length keeps more."
        )
    return Encoded({"input_ids": [each.ids for each in found]}, notes)


def check_slots(template: str, needed: Sequence[str] = ()) -> None:
    """Refuse slots that are not known, and a template without one that is needed.

    Raises:
        UsageError: naming the slot.
    """
    found = SLOT.findall(template)
    for name in found:
        if name not in SLOTS:
            raise UsageError(
                f"the template has a slot {{{name}}} that nothing fills.",
                fix=did_you_mean(name, SLOTS) or f"Slots are: {', '.join(f'{{{slot}}}' for slot in SLOTS)}.",
            )
    for name in needed:
        if name not in found:
            raise UsageError(
                f"the template has no slot {{{name}}}, so the model would not see that text.",
                fix=f"Put {{{name}}} where it belongs.",
            )


def filled(template: str, values: Mapping[str, str]) -> str:
    """The template with its slots filled at once, so that a text with braces in it stays as it is."""
    return SLOT.sub(lambda match: values.get(match[1], match[0]), template)
