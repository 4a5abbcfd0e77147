"""Forms in which instructions and replies are common, under our names: those of TRL, ShareGPT and Alpaca.

| form | prompt | reply |
|---|---|---|
| TRL, prompt and completion | `prompt`, a text or turns | `completion`, a text or one turn |
| ShareGPT | `conversations`: a chat | its last turn |
| Alpaca | `instruction`, and below it `input` where there is one | `output` |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from dcpc.data.advice import columns_option, nearest
from dcpc.data.raw import RawTable
from dcpc.data.structure import parsed

CHATS = ("conversations", "conversation", "chat")
TEXTS = ("prompt", "instruction", "question", "query", "input", "context")
RESPONSES = ("completion", "output", "reply", "answer", "response", "chosen")
_READ = ("completion", "output")
"""Of `RESPONSES` those that mean a reply in one of the forms above, without being named."""


def with_usual_names(raw: RawTable) -> RawTable:
    """The columns of these forms under our names, with a note; what has our names already stays as it is."""
    frame = raw.frame
    taken: dict[str, str] = {}
    if "text" not in frame and "messages" not in frame:
        if chat := next((name for name in CHATS if name in frame), None):
            taken["messages"] = chat
        elif "prompt" in frame:
            taken["messages" if _are_chats(frame["prompt"]) else "text"] = "prompt"
        elif {"instruction", "output"} <= set(frame):
            taken["text"] = "instruction"
            frame = _with_input(frame)
    has_prompt = bool(taken) or "text" in frame or "messages" in frame
    if has_prompt and "response" not in frame and taken.get("messages") not in CHATS:
        reply = next((name for name in _READ if name in frame), None)
        taken |= {"response": reply} if reply else {}
    if not taken:
        return raw
    said = ", ".join(f'"{theirs}" as {ours}' for ours, theirs in taken.items())
    frame = frame.rename(columns={theirs: ours for ours, theirs in taken.items()})
    return replace(raw, frame=frame, renamed={**raw.renamed, **taken}).with_notes(f"Read {said}.")


def _are_chats(values: pd.Series) -> bool:
    """Whether the first prompt is a list of turns, also as JSON in a cell."""
    first = next(iter(values.dropna()), None)
    if isinstance(first, str):
        first = parsed(first)
    if isinstance(first, np.ndarray):
        first = first.tolist()
    return isinstance(first, list) and bool(first) and all(isinstance(turn, Mapping) for turn in first)


def _with_input(frame: pd.DataFrame) -> pd.DataFrame:
    """Instructions with what they are about below them."""
    if "input" not in frame:
        return frame
    given = frame["input"].map(lambda value: isinstance(value, str) and bool(value.strip()))
    both = frame["instruction"].astype(str) + "\n\n" + frame["input"].astype(str)
    return frame.assign(instruction=both.where(given, frame["instruction"])).drop(columns="input")


def proposed(frame: pd.DataFrame, *missing: str) -> str:
    """What to type where columns of ours are missing."""
    others = {"text": TEXTS, "response": RESPONSES}
    names = [str(name) for name in frame.columns]
    found: dict[str, str] = {}
    for ours in (name for name in missing if name not in names):
        free = [name for name in names if name not in found.values()]
        known = [name for name in free if name.strip().casefold() in others[ours]]
        found[ours] = known[0] if known else nearest(ours, free) or "YOUR_COLUMN"
    return columns_option(found)
