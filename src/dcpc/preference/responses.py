"""From a response to the tokens of which a reward model judges it: prompt and response as one text.

Through the tokenizer's chat template where it has one; else `{text}` and `{response}` joined by a template and ended
by the end-of-text mark, as TRL's `RewardTrainer` does it. Too long ones lose the beginning of their prompt first, and
then the end of their response: a response is judged by what is left of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jinja2 import TemplateError
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from dcpc.data.raw import count
from dcpc.errors import UsageError
from dcpc.preference.pairs import Response, plain_text

LEAST_PROMPT = 4
"""A prompt keeps at least one part in so many of the tokens that there is room for."""
KEPT_AT_END = 2
"""Last tokens, which mark the end of a text or turn: causal models read the reward there."""
JOINED = "{text}\n{response}"


@dataclass(frozen=True)
class Fitted:
    """Tokens of a response with its prompt.

    Attributes:
        ids: its tokens.
        cut_prompt: how many tokens of the prompt were left out.
        cut_response: how many of the response.
    """

    ids: list[int]
    cut_prompt: int = 0
    cut_response: int = 0


@dataclass(frozen=True)
class ResponseTokens:
    """How responses become tokens.

    Attributes:
        tokenizer: of the base model.
        limit: most tokens of one.
        chat: whether they go through the tokenizer's chat template.
        template: joins `{text}` and `{response}` where they do not.
    """

    tokenizer: PreTrainedTokenizerBase
    limit: int
    chat: bool
    template: str = JOINED

    def __call__(self, responses: Sequence[Response]) -> list[Fitted]:
        """Tokens of every response; equal ones are made once.

        Raises:
            UsageError: the chat template refuses a chat.
        """
        texts = [self.text(response) for response in responses]
        known: dict[str, Fitted] = {}
        for text, response in zip(texts, responses, strict=True):
            if text not in known:
                known[text] = self._fitted(text, response)
        return [known[text] for text in texts]

    def text(self, response: Response) -> str:
        """Prompt and response as one text, with the marks of the chat."""
        if self.chat:
            return self._rendered(response)
        text = _joined(self.template, plain_text(response.prompt), plain_text(response.reply))
        end = self.tokenizer.eos_token
        return text if end is None or text.endswith(end) else text + end

    def _rendered(self, response: Response) -> str:
        try:
            return self.tokenizer.apply_chat_template(response.chat, tokenize=False)
        except TemplateError as error:
            raise UsageError(
                f"the tokenizer's chat template refuses a chat: {error}",
                fix="Set chat=false to join prompt and response as plain text.",
            ) from error

    def _ids(self, text: str) -> list[int]:
        # A chat template has written the marks of the beginning; a plain text gets the tokenizer's own.
        return self.tokenizer(text, add_special_tokens=not self.chat, verbose=False)["input_ids"]

    def _fitted(self, text: str, response: Response) -> Fitted:
        ids = self._ids(text)
        over = len(ids) - self.limit
        if over <= 0:
            return Fitted(ids)
        n_prompt = self._prompt_tokens(text, response, ids)
        # The first token is the tokenizer's mark of the beginning, or as good as any other.
        spare = max(0, min(over, n_prompt - 1 - self.limit // LEAST_PROMPT))
        ids = [*ids[:1], *ids[1 + spare :]]
        over = len(ids) - self.limit
        if over > 0:
            end = len(ids) - KEPT_AT_END
            ids = [*ids[: end - over], *ids[end:]]
        return Fitted(ids, spare, max(over, 0))

    def _prompt_tokens(self, text: str, response: Response, ids: list[int]) -> int:
        """How many tokens come before the response: those that do not change when another stands there."""
        reply = [{**response.reply[0], "content": ""}]
        other = self._ids(self.text(Response(response.prompt, reply)))
        same = 0
        while same < min(len(ids), len(other)) and ids[same] == other[same]:
            same += 1
        return same


def padded(ids: Sequence[list[int]], tokenizer: PreTrainedTokenizerBase) -> dict[str, Tensor]:
    """`input_ids` and `attention_mask` [R, n] of R token lists, padded on the right."""
    n = max(map(len, ids))
    pad = tokenizer.pad_token_id or 0
    return {
        "input_ids": torch.tensor([[*each, *[pad] * (n - len(each))] for each in ids]),
        "attention_mask": torch.tensor([[*[1] * len(each), *[0] * (n - len(each))] for each in ids]),
    }


def cut_notes(
    pairs: Sequence[tuple[Response, Response]], first: Sequence[Fitted], second: Sequence[Fitted], limit: int
) -> list[str]:
    """What was cut of pairs, and which of them were cut to the same tokens, one sentence each.

    Args:
        pairs: P pairs of responses.
        first: tokens of their sides a.
        second: tokens of their sides b.
        limit: most tokens of a response with its prompt.
    """
    notes = []
    cut = [
        one for each in zip(first, second, strict=True) for one in each if one.cut_prompt + one.cut_response
    ]
    responses = sum(one.cut_response > 0 for one in cut)
    if cut:
        notes.append(
            f"{len(cut):,} of {2 * len(pairs):,} responses were too long for {limit} tokens with their prompt: the "
            f"beginnings of their prompts were left out, and the ends of {responses:,} of the responses. A larger "
            "max_length keeps more."
        )
    alike = sum(
        a.ids == b.ids and pair[0].chat != pair[1].chat
        for pair, a, b in zip(pairs, first, second, strict=True)
    )
    if alike:
        notes.append(
            f"{count(alike, 'pair')} with responses that differ, but not in the tokens that the model sees: their "
            "rewards are equal."
        )
    return notes


def _joined(template: str, text: str, response: str) -> str:
    """The template with its two slots filled at once, so that a text with braces in it stays as it is."""
    before, _, behind = template.partition("{response}")
    return before.replace("{text}", text) + response + behind.replace("{text}", text)
