"""From annotations to pairs of responses: chats, the checks that only pairs need, and what TRL reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from dcpc.data import Annotations
from dcpc.data.annotations import CHATS
from dcpc.data.raw import count
from dcpc.errors import DataError, UsageError
from dcpc.names import first_of
from dcpc.preference.likelihood import PreferenceScale

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Chat = list[dict[str, str]]
"""Turns of a conversation, each with `role` and `content`."""

SIDES = ("response_a", "response_b")
SHOWN_RATERS = 5
MOST_ALIKE = 5
"""Votes from which on it is said of a rater that all of them are for one side."""


@dataclass(frozen=True)
class Response:
    """One response to a prompt; a pair has two.

    Attributes:
        prompt: turns before the response; what both sides of a pair share.
        reply: the response: one turn, or several where the sides' histories differ before the last.
    """

    prompt: Chat
    reply: Chat

    @property
    def chat(self) -> Chat:
        """The whole conversation."""
        return [*self.prompt, *self.reply]


def response_pairs(items: pd.DataFrame, source: str = "annotations") -> list[tuple[Response, Response]]:
    """The two responses of every item.

    Args:
        items: I rows with `messages_a` and `messages_b`, or with `text`, `response_a` and `response_b`.
        source: where they come from, for messages.

    Raises:
        DataError: a chat is no chat, ends with the user's turn, or the sides answer different prompts.
    """
    if all(name in items for name in CHATS):
        chats = zip(items["item_id"], items[CHATS[0]], items[CHATS[1]], strict=True)
        return [_of_chats(f'{source}, item "{item}"', a, b) for item, a, b in chats]
    missing = [name for name in ("text", "response_a", "response_b") if name not in items]
    if missing:
        raise DataError(
            f'pairs of responses have no column "{missing[0]}".',
            where=source,
            fix=f"Name the column that holds it: --columns {missing[0]}=YOUR_COLUMN.",
        )
    rows = zip(items["text"], items["response_a"], items["response_b"], strict=True)
    return [(_of_texts(text, a), _of_texts(text, b)) for text, a, b in rows]


def checked_pairs(items: pd.DataFrame, source: str = "annotations") -> list[tuple[Response, Response]]:
    """The two responses of every item, none of them empty; see `response_pairs`.

    Raises:
        DataError: as there, or a response is empty.
    """
    pairs = response_pairs(items, source)
    for item, pair in zip(items["item_id"], pairs, strict=True):
        for side, column in zip(pair, SIDES, strict=True):
            if not side.reply[-1]["content"].strip():
                raise DataError(
                    "the response is empty.",
                    where=f'{source}, item "{item}", column "{column}"',
                    fix="Fill it in, or remove the item.",
                )
    return pairs


def check_votes(annotations: Annotations, scale: PreferenceScale) -> None:
    """Refuse votes that say nothing about which of two responses is better.

    Raises:
        DataError: nobody chose a side, or only of equal responses; a response is empty, or a pair is none.
    """
    signs = np.array(scale.sign)[annotations.label_codes]  # [J]
    if not signs.any():
        raise DataError(
            "all votes are ties: they say nothing about which response is better.",
            where=annotations.source,
            fix="Check that this is the label column (--columns label=NAME) and that the file is whole.",
        )
    alike = np.array([a.chat == b.chat for a, b in checked_pairs(annotations.items, annotations.source)])
    if alike[annotations.item_codes[signs != 0]].all():
        raise DataError(
            "every pair with a vote for a side has two equal responses: nothing can be learned of rewards.",
            where=annotations.source,
            fix="Look whether response_a and response_b name two columns (--columns response_b=NAME).",
        )


def pair_items(annotations: Annotations) -> pd.DataFrame:
    """One row per pair, in the order of `annotations.item_ids`, with the chats where there are any.

    Raises:
        UsageError: the annotations are no votes between two responses.
    """
    vote_scale(annotations)
    return annotations.items


def vote_scale(annotations: Annotations, *, lowest_for: str = "a") -> PreferenceScale:
    """The scale of votes between two responses.

    Labels of a preference are a, b and tie. Labels in order, as −3 … 3 or `a-is-better` … `b-is-better`, are grades
    from the best for one side to the best for the other.

    Args:
        annotations: with two responses to each item.
        lowest_for: the side that the lowest label is best for, where its first letter names none.

    Raises:
        UsageError: the labels are no such votes.
    """
    source = annotations.source
    if annotations.scale == "preference":
        return PreferenceScale(tuple(annotations.labels))
    pairs = "response_a" in annotations.table or all(name in annotations.table for name in CHATS)
    given = [name for name in SIDES if name in annotations.table]
    if len(given) == 1:
        raise UsageError(
            f"there is one response to each prompt ({given[0]}), and a vote is between two.",
            where=source,
            fix="Name the column of the other: --columns response_a=NAME,response_b=OTHER_NAME.",
        )
    if annotations.scale != "ordinal" or not pairs:
        raise UsageError(
            f"the labels are {annotations.scale}, not votes between two responses.",
            where=source,
            fix="Give the columns response_a and response_b, and votes a, b or tie.",
        )
    ends = [annotations.labels[0][:1].lower(), annotations.labels[-1][:1].lower()]
    return PreferenceScale.ordered(
        annotations.labels, first_for=ends[0] if set(ends) == {"a", "b"} else lowest_for
    )


def pair_notes(annotations: Annotations) -> tuple[str, ...]:
    """What is odd about votes between responses, counted, one sentence each."""
    items = annotations.items
    if "response_a" not in items:  # chats alone
        return tuple(_one_sided(annotations))
    equal = int((items["response_a"] == items["response_b"]).sum())
    notes = []
    if equal:
        notes.append(
            f"{count(equal, 'pair')} with two equal responses: they say nothing about rewards, only how soon "
            "raters call a tie."
        )
    return (*notes, *_turned_round(annotations), *_one_sided(annotations))


def _turned_round(annotations: Annotations) -> Iterable[str]:
    if not annotations.has_annotators:
        return
    table = annotations.table.dropna(subset=["annotator_id"])
    sides = [table["response_a"].to_numpy(), table["response_b"].to_numpy()]
    first = sides[0] <= sides[1]
    ordered = [np.where(first, sides[0], sides[1]), np.where(first, sides[1], sides[0])]
    keys = pd.DataFrame(
        {
            "who": table["annotator_id"].to_numpy(),
            "text": table["text"].to_numpy(),
            "x": ordered[0],
            "y": ordered[1],
        }
    )
    both = keys.assign(first=first).groupby(["who", "text", "x", "y"], sort=False)["first"].nunique()
    twice = int((both > 1).sum())
    if twice:
        yield f"{count(twice, 'pair')} judged in both orders by one rater: both votes count."


def _one_sided(annotations: Annotations) -> Iterable[str]:
    if not annotations.has_annotators:
        return
    votes = annotations.table.groupby("annotator_id")["label"].agg(["nunique", "size", "first"])
    always = votes[(votes["nunique"] == 1) & (votes["size"] >= MOST_ALIKE)]
    if len(always):
        named = [f'"{who}" ({row["first"]}, {row["size"]} times)' for who, row in always.iterrows()]
        yield f"{count(len(always), 'rater')} gave one vote only: {first_of(named, SHOWN_RATERS)}."


def _of_texts(text: str, response: str) -> Response:
    return Response([{"role": "user", "content": text}], [{"role": "assistant", "content": response}])


def _of_chats(where: str, a: object, b: object) -> tuple[Response, Response]:
    sides = [_chat(chat, where, column) for chat, column in zip((a, b), CHATS, strict=True)]
    asked = [[turn for turn in chat if turn["role"] != "assistant"] for chat in sides]
    if asked[0] != asked[1]:
        raise DataError(
            "the two sides answer different prompts.",
            where=where,
            fix="A pair is two responses to the same prompt: correct the chats, or remove the item.",
        )
    shared = 0
    while shared < min(map(len, sides)) - 1 and sides[0][shared] == sides[1][shared]:
        shared += 1
    first, second = (Response(chat[:shared], chat[shared:]) for chat in sides)
    return first, second


def _chat(value: object, where: str, column: str) -> Chat:
    where = f'{where}, column "{column}"'
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise DataError(f"the chat is not readable JSON ({error}).", where=where) from error
    turns = list(value) if isinstance(value, list | tuple | np.ndarray) else []
    fits = all(
        isinstance(turn, Mapping)
        and isinstance(turn.get("role"), str)
        and isinstance(turn.get("content"), str)
        for turn in turns
    )
    if not turns or not fits:
        raise DataError(
            "a chat is a list of turns, each with a role and a content.",
            where=where,
            fix='Write it as [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}].',
        )
    if turns[-1]["role"] != "assistant":
        raise DataError(
            f'the chat\'s last turn is of the role "{turns[-1]["role"]}", so there is no response to judge.',
            where=where,
            fix="End it with the assistant's turn, or remove the item.",
        )
    return [{"role": turn["role"], "content": turn["content"]} for turn in turns]


def as_prompt_and_completion(
    response: Response, tokenizer: PreTrainedTokenizerBase
) -> tuple[Chat, Chat] | tuple[str, str]:
    """Turns where the tokenizer has a chat template, and plain text where it has none."""
    if tokenizer.chat_template is not None:
        return response.prompt, response.reply
    return plain_text(response.prompt) + "\n", plain_text(response.reply)


def plain_text(turns: Chat) -> str:
    """Turns as one text: a single one's words alone, else `Role: words`, a line each."""
    if len(turns) == 1:
        return turns[0]["content"]
    return "\n".join(f"{turn['role'].capitalize()}: {turn['content']}" for turn in turns)


def votes_by_item(annotations: Annotations) -> list[list[int]]:
    """Positions in the table of the judgements of every item, I lists."""
    order = np.argsort(annotations.item_codes, kind="stable")
    starts = np.searchsorted(annotations.item_codes[order], np.arange(1, annotations.n_items))
    return [rows.tolist() for rows in np.split(order, starts)]
