"""Chats, lists of turns, as one text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_SPEAKER, _SAID = ("role", "from", "speaker"), ("content", "value", "text")
"""A turn's keys: OpenAI's and TRL's, ShareGPT's, and what else is common."""


def as_turns(value: object) -> list[tuple[str, str]] | None:
    """Speaker and words of each turn of a chat; None if `value` is none."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, list | tuple) or not value:
        return None
    turns = [_turn(turn) for turn in value]
    return None if any(turn is None for turn in turns) else [turn for turn in turns if turn is not None]


def _turn(turn: object) -> tuple[str, str] | None:
    if not isinstance(turn, Mapping):
        return None
    speaker = next((turn[name] for name in _SPEAKER if isinstance(turn.get(name), str)), None)
    said = next((turn[name] for name in _SAID if isinstance(turn.get(name), str)), None)
    return None if speaker is None or said is None else (speaker, said)


def is_chat(value: object) -> bool:
    """Whether `value` is a list of turns, each with a speaker and words."""
    return as_turns(value) is not None


def text_of_turns(turns: Sequence[tuple[str, str]]) -> str:
    """Turns as one text: the words alone of a single turn, else `speaker: words`, a line each."""
    if len(turns) == 1:
        return turns[0][1]
    return "\n".join(f"{speaker}: {said}" for speaker, said in turns)


def chat_text(value: Any) -> Any:
    """A chat as one text; anything else as it is."""
    turns = as_turns(value)
    return value if turns is None else text_of_turns(turns)


def split_chats(
    first: Sequence[tuple[str, str]], second: Sequence[tuple[str, str]]
) -> tuple[list[tuple[str, str]], list[tuple[str, str]], list[tuple[str, str]]]:
    """The turns that two chats begin with alike, and what each has after them: at least its last turn."""
    most = min(len(first), len(second)) - 1
    shared = 0
    while shared < most and first[shared] == second[shared]:
        shared += 1
    return list(first[:shared]), list(first[shared:]), list(second[shared:])
