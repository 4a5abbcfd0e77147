"""Written replies: who wrote what in answer to which instruction, read from a table and checked.

One row is one reply: `text` (the instruction) and `response`; or `messages`, a chat that ends with the reply; or
`messages` without the reply, and `response`. `annotator_id` is the writer. Other forms that are common are
`dcpc.tasks.write.forms`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from dcpc.data.advice import columns_option, likely_annotators, nearest
from dcpc.data.raw import RawTable, count
from dcpc.data.readers import FORMATS
from dcpc.data.readers.detect import check_source, detect_format
from dcpc.data.splits import rows_of_split
from dcpc.data.validation import listed
from dcpc.errors import DataError, UsageError
from dcpc.tasks.write.chats import Chat, read_chat, replies_in
from dcpc.tasks.write.forms import proposed, with_usual_names

COLUMNS = ("item_id", "text", "messages", "response", "annotator_id", "split")
"""The columns that `--columns` can name for this task."""


@dataclass(frozen=True)
class Replies:
    """Replies of writers to prompts; R rows.

    Attributes:
        table: one row per reply, a fresh RangeIndex: `item_id`, `prompt` (a `Chat`: all turns before the reply),
            `response` (missing where the data have no replies), where known `annotator_id` (missing for unknown
            writers) and `split`, then the file's other columns. Prompts alone, read without item ids, have the
            number of their row in `row`.
        source: the file or data set, for messages.
        notes: what was skipped or changed, one sentence each, to be shown to the user.
    """

    table: pd.DataFrame
    source: str = "replies"
    notes: tuple[str, ...] = ()

    @property
    def prompts(self) -> list[Chat]:
        """The turns before each reply, R of them."""
        return self.table["prompt"].tolist()

    @property
    def responses(self) -> list[str]:
        """The replies, R of them."""
        return self.table["response"].tolist()

    @property
    def n_items(self) -> int:
        """The number of distinct prompts."""
        return self.table["item_id"].nunique()

    @cached_property
    def writers(self) -> tuple[str, ...]:
        """The ids of the writers, sorted."""
        if "annotator_id" not in self.table:
            return ()
        return tuple(sorted(self.table["annotator_id"].dropna().unique()))

    @property
    def writer_ids(self) -> list[str | None]:
        """Who wrote each reply, R of them; None where unknown."""
        if "annotator_id" not in self.table:
            return [None] * len(self.table)
        return [None if pd.isna(name) else name for name in self.table["annotator_id"]]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of prompts, replies and writers, in hexadecimal."""
        rows = zip(self.prompts, self.responses, self.writer_ids, strict=True)
        return hashlib.sha256(json.dumps(list(rows)).encode()).hexdigest()

    def answered_once(self) -> Replies:
        """The prompts that are to be answered: one row an item where the data have ids of items, else every row."""
        if "row" in self.table:
            return self
        return replace(self, table=self.table.drop_duplicates("item_id").reset_index(drop=True))

    def where(self, rows: np.ndarray) -> Replies:
        """The replies that a boolean mask over R selects."""
        return replace(self, table=self.table[rows].reset_index(drop=True))

    def keep_split(self, split: str | None) -> Replies:
        """The replies of one split; all of them where `split` is None.

        Raises:
            UsageError: if the data have no such split.
        """
        if split is None:
            return self
        if "split" not in self.table:
            raise UsageError("the data have no `split` column.", where=self.source, fix="Leave --split out.")
        return self.where(rows_of_split(self.table, split, self.source))


def read_replies(
    source: str | Path,
    *,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    with_replies: bool = True,
    with_writers: bool = True,
) -> Replies:
    """Read written replies from a table, a folder of tables, or a Hugging Face data set, and check them.

    Args:
        source: path, or id of a data set on the Hugging Face Hub.
        format: a table's format, as `csv` or `jsonl`, or `huggingface`; None tells it from the content.
        columns: our column name → the source's name, e.g. `{"text": "instruction", "annotator_id": "author"}`.
        with_replies: False reads prompts only, to which replies shall be generated: a reply may be missing, and a
            chat ends with what is to be answered.
        with_writers: whether who wrote the replies matters; False says nothing of writers in the notes.

    Raises:
        DataError: if the data cannot be used as they are; says where and how to mend it.
        UsageError: if `format` or `columns` make no sense.
    """
    raw = with_usual_names(_renamed(_read(str(source), format), dict(columns or {})))
    if raw.frame.empty:
        raise DataError("there are no replies in it.", where=raw.source, fix="Check the file or the export.")
    raw = replace(raw, frame=raw.frame.astype(object).where(raw.frame.notna(), None))
    table, kept, notes = _rows(raw, with_replies)
    if not table:
        raise DataError(
            "no reply is left to learn from.", where=raw.source, fix=f"{' '.join(notes)} Check the export."
        )
    frame = _with_ids(raw, pd.DataFrame(table), kept)
    if not with_replies and "item_id" not in raw.frame:
        frame["row"] = raw.places[kept]
    others = raw.frame.iloc[kept].drop(columns=list(COLUMNS), errors="ignore").reset_index(drop=True)
    replies = Replies(frame.join(others, rsuffix="_"), raw.source, (*raw.notes, *notes))
    return (
        replace(replies, notes=(*replies.notes, *_writer_notes(replies)))
        if with_replies and with_writers
        else replies
    )


def _read(source: str, format: str | None) -> RawTable:
    usual = ("long", "csv", "tsv", "jsonl", "parquet", "huggingface")
    if format is not None and format not in usual:
        raise UsageError(
            f'replies are not read from "{format}".', fix=f"Formats for this task: {', '.join(usual)}."
        )
    check_source(source, hub=format in (None, "huggingface"))
    found = format or ("huggingface" if detect_format(source, {}) == "huggingface" else "long")
    return FORMATS[found](source, {})


def _renamed(raw: RawTable, columns: Mapping[str, str]) -> RawTable:
    """The file's columns under our names."""
    names = [str(name) for name in raw.frame.columns]
    for ours, theirs in columns.items():
        if ours not in COLUMNS:
            raise UsageError(
                f'"{ours}" is not a column that can be named.', fix=f"Choose from {', '.join(COLUMNS)}."
            )
        if theirs not in names:
            raise DataError(
                f'there is no column "{theirs}"; found: {listed(names)}.',
                where=raw.source,
                fix=f"Correct --columns {ours}={nearest(theirs, names) or 'YOUR_COLUMN'}.",
            )
    taken = {ours: theirs for ours, theirs in columns.items() if ours != theirs}
    frame = raw.frame.drop(columns=[ours for ours in taken if ours in names and ours not in taken.values()])
    frame = frame.rename(columns={theirs: ours for ours, theirs in taken.items()})
    return replace(raw, frame=frame, renamed={**raw.renamed, **taken})


def _rows(raw: RawTable, with_replies: bool) -> tuple[list[dict], list[int], list[str]]:
    """Prompt and reply of the rows that have them, the rows' positions, and what was left out."""
    frame = raw.frame
    source = _prompt_of_messages if "messages" in frame else _prompt_of_text
    if "messages" not in frame and "text" not in frame:
        raise DataError(
            f'there is neither a column "text" nor "messages"; found: {listed(frame.columns)}.',
            where=raw.source,
            fix=f"Name the prompts: {proposed(frame, 'text', *(['response'] if with_replies else []))}.",
        )
    if with_replies and "response" not in frame and "messages" not in frame:
        raise DataError(
            f'there is no column "response"; found: {listed(frame.columns)}.',
            where=raw.source,
            fix=f"Name the replies: {proposed(frame, 'response')}.",
        )
    table, kept, empty, open_ended = [], [], 0, 0
    for row, cells in enumerate(frame.to_dict("records")):
        prompt = source(raw, row, {str(name): value for name, value in cells.items()})
        response = _reply(raw, row, cells.get("response"))
        if response is None and "response" not in frame:
            prompt, response, left = _divided(raw, row, prompt, with_replies)
            open_ended += left
        if with_replies and not (response or "").strip():
            empty += 1
            continue
        table.append({"prompt": prompt, "response": response})
        kept.append(row)
    notes = []
    if empty:
        notes.append(f"{count(empty, 'row')} with an empty reply left out.")
    if open_ended:
        notes.append(f"{count(open_ended, 'chat')} went on after the last reply; those turns were left out.")
    return table, kept, notes


def _reply(raw: RawTable, row: int, value: object) -> str | None:
    """The reply in a cell: a text, or as TRL has it a chat of one turn."""
    if value is None or isinstance(value, str | int | float):
        return None if value is None else str(value)
    try:
        turns = read_chat(value)
        if len(turns) > 1:
            raise ValueError(f"has {len(turns)} turns, and a reply is one")
    except ValueError as error:
        raise DataError(
            f"the reply {error}.",
            where=raw.where(row, "response"),
            fix="Write it as a text, or the whole chat into a column `messages`.",
        ) from error
    return turns[0]["content"]


def _prompt_of_text(raw: RawTable, row: int, cells: Mapping[str, object]) -> Chat:
    text = cells.get("text")
    if text is not None and not isinstance(text, str | int | float):
        return _prompt_of_messages(raw, row, {"messages": text}, "text")
    if text is None or not str(text).strip():
        raise DataError(
            f"the prompt is {raw.missing(row, 'empty')}.",
            where=raw.where(row, "text"),
            fix="Fill it in, or remove the row.",
        )
    return [{"role": "user", "content": str(text)}]


def _prompt_of_messages(
    raw: RawTable, row: int, cells: Mapping[str, object], column: str = "messages"
) -> Chat:
    try:
        return read_chat(cells.get("messages"))
    except ValueError as error:
        raise DataError(
            f"the chat {error}.",
            where=raw.where(row, column),
            fix='Write chats as [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}].',
        ) from error


def _divided(raw: RawTable, row: int, chat: Chat, with_replies: bool) -> tuple[Chat, str | None, bool]:
    """The turns before the last reply, that reply, and whether turns came after it."""
    if not with_replies:
        # What is to be answered stands last; a reply that is there already is not part of the prompt.
        is_answered = chat[-1]["role"] == "assistant" and len(chat) > 1
        return (chat[:-1], chat[-1]["content"], False) if is_answered else (chat, None, False)
    replies = [position for position, turn in enumerate(chat) if turn["role"] == "assistant" and position > 0]
    if not replies:
        raise DataError(
            "the chat has no turn of the assistant after the first, so no reply to learn from.",
            where=raw.where(row, "messages"),
            fix="Add the reply to the chat, put it into a column `response`, or remove the row.",
        )
    answered = [position for position in replies if position in replies_in(chat)] or replies
    last = answered[-1]
    return chat[:last], chat[last]["content"], last + 1 < len(chat)


def _with_ids(raw: RawTable, frame: pd.DataFrame, kept: list[int]) -> pd.DataFrame:
    """Item ids, writers and splits beside prompts and replies."""
    given = raw.frame.iloc[kept].reset_index(drop=True)
    texts = [json.dumps(prompt, sort_keys=True, ensure_ascii=False) for prompt in frame["prompt"]]
    if "item_id" in given:
        ids = _strings(raw, given["item_id"], "item_id", kept)
        _check_one_prompt_per_item(raw, ids, texts, kept)
    else:
        ids = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts]
    frame = frame.assign(item_id=pd.Series(ids, dtype="str"))
    if "annotator_id" in given and given["annotator_id"].notna().any():
        frame["annotator_id"] = [_text_of(value) for value in given["annotator_id"]]
    if "split" in given:
        frame["split"] = [_text_of(value) or "" for value in given["split"]]
    return frame


def _text_of(value: object) -> str | None:
    if value is None or not str(value).strip():
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _strings(raw: RawTable, values: pd.Series, name: str, kept: list[int]) -> list[str]:
    texts = [_text_of(value) for value in values]
    for text, row in zip(texts, kept, strict=True):
        if text is None:
            raise DataError(
                f"the {name} is {raw.missing(row, 'empty')}.",
                where=raw.where(row, name),
                fix="Fill it in, or remove the column.",
            )
    return [text or "" for text in texts]


def _check_one_prompt_per_item(raw: RawTable, ids: list[str], texts: list[str], kept: list[int]) -> None:
    first: dict[str, tuple[str, int]] = {}
    for item, text, row in zip(ids, texts, kept, strict=True):
        known, place = first.setdefault(item, (text, row))
        if known != text:
            raise DataError(
                f"the item {item!r} has another prompt in {raw.unit} {raw.places[place]}.",
                where=raw.where(row, "item_id"),
                fix="Give every prompt an id of its own, or remove the column.",
            )


def _writer_notes(replies: Replies) -> list[str]:
    if not replies.writers:
        likely = likely_annotators(replies.table.drop(columns=["prompt"]))
        named = (
            f' Is it the column "{likely[0]}"? Then add {columns_option({"annotator_id": likely[0]})}.'
            if likely and likely[0] != "annotator_id"
            else ""
        )
        return [f"No column says who wrote the replies: there are no styles of writers to learn.{named}"]
    notes = []
    unknown = sum(name is None for name in replies.writer_ids)
    if len(replies.writers) == 1:
        notes.append(
            f"All replies are by one writer ({replies.writers[0]}): there are no styles to tell apart."
        )
    if unknown:
        notes.append(f"{count(unknown, 'reply', 'replies')} by unknown writers: learned as anybody's.")
    return notes
