"""Chats as data files hold them: lists of turns, each with a role and what was said."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Message = dict[str, str]
"""One turn: `role` (system, user or assistant) and `content`."""

Chat = list[Message]

ROLES = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "bot": "assistant", "model": "assistant",
}  # fmt: skip
"""Names of roles in data files, and what chat templates call them."""


def read_chat(value: object) -> Chat:
    """A chat from a cell: a list of turns, or the same as JSON.

    Turns are `{"role": …, "content": …}` or, as ShareGPT writes them, `{"from": …, "value": …}`; a content that is a
    list of parts is read where all parts are text.

    Raises:
        ValueError: saying what is wrong with it, as the end of a sentence that begins with the chat.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise ValueError(f"is not JSON ({error})") from error
    # Parquet files give arrays, tables without values a float.
    if not isinstance(value, Iterable) or isinstance(value, Mapping | str):
        raise ValueError("is not a list of turns")
    turns = [_turn(turn, number) for number, turn in enumerate(value, start=1)]
    if not turns:
        raise ValueError("has no turns")
    systems = [number for number, turn in enumerate(turns, start=1) if turn["role"] == "system"]
    if systems and systems != [1]:
        raise ValueError(f"has a system turn at place {systems[-1]}, where only the first can be one")
    return turns


def _turn(turn: object, number: int) -> Message:
    if not isinstance(turn, Mapping):
        raise ValueError(f"has a turn {number} that is no object with a role and a content")
    role, content = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
    if str(role).lower() not in ROLES:
        raise ValueError(f"has a turn {number} of the role {role!r}; known are system, user and assistant")
    return {"role": ROLES[str(role).lower()], "content": _text(content, number)}


def _text(content: object, number: int) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, Iterable) and not isinstance(content, Mapping):
        parts = list(content)
        if parts and all(isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in parts):
            return "".join(part["text"] for part in parts)
    raise ValueError(f"has a turn {number} whose content is no text")


def replies_in(chat: Sequence[Message]) -> list[int]:
    """Positions of the assistant's turns that answer something and are not empty."""
    return [
        position
        for position, turn in enumerate(chat)
        if turn["role"] == "assistant" and position > 0 and turn["content"].strip()
    ]


def as_text(chat: Sequence[Mapping[str, Any]]) -> str:
    """A chat to be read by people: one paragraph a turn; a single user turn as it is."""
    if len(chat) == 1:
        return str(chat[0]["content"])
    return "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in chat)
