"""Pairs whose sides are whole chats (`messages_a`, `messages_b`): the texts that all but a chat template reads.

What both chats begin with is the prompt, what each has after it the response.
"""

from __future__ import annotations

import json
from dataclasses import replace

from dcpc.data.annotations import CHATS
from dcpc.data.raw import RawTable
from dcpc.data.readers.chats import as_turns, split_chats, text_of_turns
from dcpc.errors import DataError

TEXTS = ("text", "response_a", "response_b")
ANSWERERS = ("assistant", "gpt", "bot", "model")
"""Roles of those whose turns are judged, in small letters."""


def with_texts_of_chats(raw: RawTable) -> RawTable:
    """Rows with the columns `text`, `response_a` and `response_b` where only chats say what they are.

    Raises:
        DataError: a chat is none, ends with the user's turn, or the two sides answer different prompts.
    """
    if not all(name in raw.frame for name in CHATS) or "response_a" in raw.frame:
        return raw
    found = []
    for row, pair in enumerate(raw.frame[list(CHATS)].itertuples(index=False, name=None)):
        sides = [_turns(raw, row, column, value) for column, value in zip(CHATS, pair, strict=True)]
        asked = [[turn for turn in turns if turn[0].lower() not in ANSWERERS] for turns in sides]
        if asked[0] != asked[1]:
            raise DataError(
                "the two sides answer different prompts.",
                where=raw.where(row, CHATS[1]),
                fix="A pair is two responses to the same prompt: correct the chats, or remove the row.",
            )
        shared, first, second = split_chats(*sides)
        found.append([text_of_turns(shared), text_of_turns(first), text_of_turns(second)])
    columns = dict(zip(TEXTS, zip(*found, strict=True), strict=True))
    return replace(raw, frame=raw.frame.assign(**{name: list(values) for name, values in columns.items()}))


def _turns(raw: RawTable, row: int, column: str, value: object) -> list[tuple[str, str]]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    turns = as_turns(value)
    if turns is None:
        raise DataError(
            "a chat is a list of turns, each with a role and a content.",
            where=raw.where(row, column),
            fix='Write it as [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}].',
        )
    if turns[-1][0].lower() not in ANSWERERS:
        raise DataError(
            f'the chat\'s last turn is of the role "{turns[-1][0]}", so there is no response to judge.',
            where=raw.where(row, column),
            fix="End it with the assistant's turn, or remove the row.",
        )
    return turns
