"""What pairs of responses answer: pairs on one prompt belong together when some are held out."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from dcpc.data import Annotations
from dcpc.data.annotations import CHATS
from dcpc.data.raw import count
from dcpc.preference.pairs import SIDES


def asked(annotations: Annotations) -> np.ndarray:
    """Number of each item's prompt, by first appearance [I]; items that are no pairs of responses have one each.

    The prompt of a chat is its first turn by the user: later turns of one conversation belong to it.
    """
    items = annotations.items
    if all(name in items for name in CHATS):
        return pd.factorize(np.array([_first_asked(chat) for chat in items[CHATS[0]]], dtype=object))[0]
    if all(name in items for name in ("text", *SIDES)):
        return pd.factorize(items["text"])[0]
    return np.arange(len(items))


def shared_prompt_notes(train: Annotations, held_out: Annotations) -> list[str]:
    """How many held-out pairs answer a prompt that training sees, as a split of the data's own may have it."""
    both = pd.concat([train.table, held_out.table], ignore_index=True)
    items = Annotations(both, train.labels, train.scale, train.source)
    of_item = pd.Series(asked(items), index=items.item_ids)
    seen = of_item[list(held_out.item_ids)].isin(of_item[list(train.item_ids)])
    if not seen.any():
        return []
    return [
        f"{count(int(seen.sum()), 'held-out pair')} of {len(seen):,} {'answers' if seen.sum() == 1 else 'answer'} "
        "prompts that training sees too: held-out figures are better than those of new prompts will be."
    ]


def _first_asked(chat: Any) -> str:
    """Words of the user's first turn; all of it where there is none, or where it is no chat, which others tell."""
    try:
        turns = json.loads(chat) if isinstance(chat, str) else chat
        return str(next(turn["content"] for turn in turns if turn["role"] == "user"))
    except (ValueError, TypeError, KeyError, StopIteration):
        return str(chat)
