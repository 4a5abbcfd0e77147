"""TRL's preference form: `chosen` and `rejected`, with or without `prompt`, as texts or as chats; also in CSV.

Which response becomes `response_a` is settled by a hash of the texts, so that judgements of one pair by several
people are of one item, and neither side is always the better one. Without a `prompt`, it is what both begin with:
whole turns of chats, and of texts up to the last "Assistant:". Where nothing is shared there is none.

Its unpaired form, `prompt`, `completion` and a `label`, judges one response by itself: a text and its pair.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from itertools import takewhile
from pathlib import Path
from typing import Any

from dcpc.data.advice import OTHER_NAMES
from dcpc.data.raw import RawTable
from dcpc.data.readers.chats import as_turns, chat_text, is_chat, split_chats, text_of_turns
from dcpc.data.readers.formats import Format, Peek
from dcpc.data.readers.long import read_long, read_table
from dcpc.data.readers.records import Records, read_records
from dcpc.data.readers.rows import Rows, attributes
from dcpc.data.structure import parsed

_WHO = ("annotator_id", *OTHER_NAMES["annotator_id"], "judge")
_OWN = ("prompt", "chosen", "rejected")
_UNPAIRED = ("prompt", "completion", "label")


def read_trl(records: Records, source: str, columns: Mapping[str, str]) -> RawTable:
    """Preference pairs; `columns` may name the `annotator_id` and the `item_id`."""
    rows = Rows(source, records.unit)
    for place, record in records.entries:
        if "chosen" not in record and set(_UNPAIRED) <= record.keys():
            _one_response(record, rows, place, columns)
            continue
        prompt, chosen, rejected = _parts(record, rows, place)
        if chosen == rejected:
            rows.skip("pair of equal responses")
            continue
        chosen_first = _key(chosen) < _key(rejected)
        first, second = (chosen, rejected) if chosen_first else (rejected, chosen)
        name = columns.get("item_id", "item_id")
        item = {"item_id": record[name]} if record.get(name) is not None else {}
        item |= {"text": prompt} if prompt else {}
        item |= {"response_a": first, "response_b": second}
        names = (columns.get("annotator_id"), *_WHO)
        who = next((name for name in names if name is not None and name in record), "")
        item |= attributes(record, (*_OWN, who))
        rows.record(place, lambda item=item: item, record)  # type: ignore[misc]
        rows.add(place, item, record.get(who), "a" if chosen_first else "b")
    return rows.table()


def _one_response(record: Mapping[str, Any], rows: Rows, place: int, columns: Mapping[str, str]) -> None:
    """A judgement of one response; its reply is the pair of the prompt's text."""
    text, reply = (chat_text(record.get(name)) for name in _UNPAIRED[:2])
    named = [columns.get("item_id", "item_id"), columns.get("annotator_id"), *_WHO]
    own, *people = [name for name in named if name is not None]
    who = next((name for name in people if name in record), "")
    item = {} if record.get(own) is None else {"item_id": record[own]}
    item |= {"text": text, "text_pair": reply} | attributes(record, (*_UNPAIRED, who, own))
    rows.record(place, lambda: item, record)
    rows.add(place, item, record.get(who), record["label"])
    rows.note('"prompt" and "completion", TRL\'s unpaired form, were read as text and text_pair.')


def _key(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=8).digest()


def _parts(record: Mapping[str, Any], rows: Rows, place: int) -> tuple[str, str, str]:
    """Prompt (may be empty), chosen and rejected response as texts."""
    chosen, rejected = record.get("chosen"), record.get("rejected")
    chats = as_turns(chosen), as_turns(rejected)
    prompt = chat_text(record.get("prompt")) or ""
    if chats[0] is not None and chats[1] is not None:
        begin, first, second = split_chats(chats[0], chats[1])
        prompt = prompt or (text_of_turns(begin) if begin else "")
        return prompt, text_of_turns(first), text_of_turns(second)
    if not isinstance(chosen, str) or not isinstance(rejected, str) or not isinstance(prompt, str):
        raise rows.error(
            place,
            "`chosen` and `rejected` must both be texts, or both chats of {role, content}.",
            "Correct the record or its source.",
        )
    if prompt:
        return prompt, chosen.removeprefix(prompt).strip(), rejected.removeprefix(prompt).strip()
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(chosen, rejected, strict=False)))
    marks = list(re.finditer(r"\n\s*(assistant|ai|bot)\s*:", chosen[:shared], re.I))
    if not marks:
        return "", chosen.strip(), rejected.strip()
    end = marks[-1].end()
    return chosen[: marks[-1].start()].strip(), chosen[end:].strip(), rejected[end:].strip()


def _recognises(peek: Peek) -> bool:
    names = peek.record.keys() | set(peek.columns)
    unpaired = set(_UNPAIRED) <= names and not {"text", "chosen", "text_pair"} & names
    if unpaired and peek.kind in ("json", "parquet", "table"):
        return True
    if peek.kind == "table" and "label" in names:
        return False  # a long table whose other columns are called so
    return {"chosen", "rejected"} <= names and peek.kind in ("json", "parquet", "table")


def _read(source: str, columns: Mapping[str, str]) -> RawTable:
    path = Path(source)
    if {"text", "label", "labels", "annotators"} & columns.keys():
        return read_long(source, columns)  # what the user names comes before what a form means
    with path.open("rb") as file:
        first = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    if first.startswith(b"PAR1") or first[:1] in (b"{", b"["):
        return read_trl(read_records(path, source), source, columns)
    table = read_table(source)
    cells = table.frame.astype(object).where(table.frame.notna(), None).to_dict("records")
    entries = [
        (place, {str(name): _cell(value) for name, value in record.items() if value is not None})
        for place, record in zip(table.places.tolist(), cells, strict=True)
    ]
    return read_trl(Records(entries, table.unit), source, columns).with_notes(*table.notes)


def _cell(value: object) -> object:
    """A chat that is written into a cell, as JSON or as Python prints it; else the cell."""
    found = parsed(value) if isinstance(value, str) and value.lstrip()[:1] == "[" else None
    return found if found is not None and is_chat(found) else value


FORMAT = Format(_read, _recognises, read_trl)
