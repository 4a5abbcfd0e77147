"""Items of a raw table: their texts checked, their ids in one spelling, told by their texts where they have no id."""

from __future__ import annotations

import re
from dataclasses import replace
from hashlib import blake2b

import numpy as np
import pandas as pd

from dcpc.data import validation
from dcpc.data.annotations import ITEM_COLUMNS
from dcpc.data.equality import fold_ids, plain_text
from dcpc.data.mapped import ROWS, by_parts, codes_of, fingerprints, first_rows, joined, taken
from dcpc.data.raw import RawTable, count
from dcpc.data.readers.chats import is_chat
from dcpc.data.scales import as_text
from dcpc.data.structure import joined_text, parsed, plain
from dcpc.errors import DataError


def with_items(raw: RawTable, *, exact: bool, skip_blank: bool) -> RawTable:
    """Texts checked, ids as strings, one text per item.

    Args:
        raw: rows under our column names.
        exact: leave ids and texts as they are written.
        skip_blank: leave out rows with a blank text.

    Raises:
        DataError: if a text is missing or an item has two.
    """
    raw = _with_joined_texts(raw)
    if skip_blank:
        raw = _without_blank_texts(raw)
    raw = raw.with_notes(*validation.check_texts(raw))
    frame = raw.frame.assign(
        **{name: raw.frame[name].astype("str") for name in ITEM_COLUMNS if name in raw.frame}
    )
    written = replace(raw, frame=frame)
    raw = _with_ids(written, exact=exact)
    keys = pd.DataFrame({name: _key(frame[name], exact=exact) for name in ITEM_COLUMNS if name in frame})
    if "item_id" in raw.frame:
        validation.check_present(raw, "item_id")
        folded = not raw.frame["item_id"].equals(_as_text(written, "item_id"))
        validation.check_one_text_per_item(raw, keys, folded=folded)
    else:
        raw = replace(
            raw, frame=raw.frame.assign(item_id=_ids_from_texts(frame[list(keys)], keys, exact=exact))
        )
    return _with_one_spelling(raw)


def _key(texts: pd.Series, *, exact: bool) -> np.ndarray:
    """What texts are compared by: a number for each way that a text may be written, uint64 [J]."""
    return by_parts(texts, lambda part: fingerprints(_compared(part, exact=exact).to_frame()))


def _compared(texts: pd.Series, *, exact: bool) -> pd.Series:
    """Texts in the one way of writing that counts."""
    return texts if exact else texts.map(plain_text)


def _with_joined_texts(raw: RawTable) -> RawTable:
    """Texts that are lists of tokens, or turns of a conversation, as one text."""
    for name in (name for name in ITEM_COLUMNS if name in raw.frame):
        if raw.frame[name].dtype != object and not _holds_chats(raw.frame[name]):
            continue
        read = _chat if _holds_chats(raw.frame[name]) else plain
        cells = [read(value) for value in raw.frame[name]]
        joined = [joined_text(value) if isinstance(value, list) else None for value in cells]
        number = sum(text is not None for text in joined)
        if number:
            texts = [cell if text is None else text for cell, text in zip(cells, joined, strict=True)]
            raw = replace(raw, frame=raw.frame.assign(**{name: pd.Series(texts, dtype=object)})).with_notes(
                f"{count(number, 'text')} of turns or tokens joined to one text (column "
                f'"{raw.renamed.get(name, name)}").'
            )
    return raw


_LOOKED_AT = 100


def _holds_chats(values: pd.Series) -> bool:
    """Whether the first text is a chat that is written as JSON: then others are taken for such as well."""
    first = next(iter(values.head(_LOOKED_AT).dropna()), None)
    return isinstance(first, str) and first.lstrip().startswith("[{") and is_chat(parsed(first))


def _chat(value: object) -> object:
    """The turns of a chat that is written as JSON; anything else as it is."""
    found = parsed(value) if isinstance(value, str) and value.lstrip().startswith("[{") else None
    return found if is_chat(found) else plain(value)


def _without_blank_texts(raw: RawTable) -> RawTable:
    columns = [name for name in ITEM_COLUMNS if name in raw.frame]
    blank = np.zeros(len(raw.frame), dtype=bool)
    for name in columns:
        values = raw.frame[name]
        blank |= (
            values.isna() | values.map(lambda value: isinstance(value, str) and not value.strip())
        ).to_numpy(bool)
    if not blank.any():
        return raw
    raw = raw.only(~blank).with_notes(f"Skipped: {count(int(blank.sum()), 'row')} with a blank text.")
    validation.check_rows(raw, "items with a text")
    return raw


def _with_ids(raw: RawTable, *, exact: bool) -> RawTable:
    """Ids as strings; an item keeps its own spelling where no other spelling of the same id stands beside it."""
    for name in ("item_id", "annotator_id"):
        if name not in raw.frame:
            continue
        ids = _as_text(raw, name)
        raw = raw.with_notes(*_cut_digits(ids, "item" if name == "item_id" else "annotator"))
        if not exact:
            folded = fold_ids(ids)
            if folded.changed and (name == "annotator_id" or folded.values.nunique() < ids.nunique()):
                ids = folded.values
                raw = raw.with_notes(*folded.note("item id" if name == "item_id" else "annotator id"))
        raw = replace(raw, frame=raw.frame.assign(**{name: ids}))
    return raw


_CUT = re.compile(r"\d(\.\d+)?[Ee]\+\d{2,}")


def _cut_digits(ids: pd.Series, what: str) -> tuple[str, ...]:
    """Ids as spreadsheets show long numbers, 1.23E+17: what they stood for is lost, and several may look alike."""
    cut = by_parts(ids, lambda part: part.str.strip().str.fullmatch(_CUT).fillna(False).to_numpy(bool))
    found = list(ids[cut].unique())
    if not found:
        return ()
    return (
        f"{count(len(found), f'{what} id')} such as {found[0]}: a spreadsheet has cut these numbers short, so that "
        "different ones may have become one. Export the column as text.",
    )


def _as_text(raw: RawTable, column: str) -> pd.Series:
    try:
        return as_text(raw.frame[column], exact=True)
    except TypeError as error:
        raise DataError(
            "the values are lists or objects; one id per row is needed.",
            where=raw.where(column=column),
            fix="Name the column that holds one id per row with --columns.",
        ) from error


def _ids_from_texts(texts: pd.DataFrame, keys: pd.DataFrame, *, exact: bool) -> pd.Series:
    """An id per distinct (text, text pair, responses): a hash of the contents, so equal across files."""
    codes = keys.groupby(list(keys.columns), sort=False).ngroup().to_numpy()  # [J]
    first = first_rows(codes)
    ids = np.empty(len(first), dtype="S16")
    for start in range(0, len(first), ROWS):
        part = texts.iloc[first[start : start + ROWS]]
        contents = zip(*(_compared(part[name], exact=exact) for name in part), strict=True)
        ids[start : start + ROWS] = [
            blake2b("\x1f".join(each).encode(), digest_size=8).hexdigest() for each in contents
        ]
    parts = (codes[start : start + ROWS] for start in range(0, len(codes), ROWS))
    return joined(pd.DataFrame({"id": ids[part].astype("U16")}).astype("str") for part in parts)["id"]


def _with_one_spelling(raw: RawTable) -> RawTable:
    """All rows of an item have the text that its first row has, where they differ only in how it is written."""
    codes = codes_of(raw.frame["item_id"])
    first = first_rows(codes)
    if len(first) == len(codes):
        return raw
    changed = np.zeros(len(codes), dtype=bool)
    columns = {}
    for name in (name for name in ITEM_COLUMNS if name in raw.frame):
        written = fingerprints(raw.frame[[name]])
        differs = written != written[first][codes]
        if differs.any():
            changed |= differs
            columns[name] = taken(raw.frame[[name]], first[codes])[name]
    if not columns:
        return raw
    return replace(raw, frame=raw.frame.assign(**columns)).with_notes(
        f"Taken as equal, {count(int(changed.sum()), 'text')} that differ from the item's first one only in line "
        "ends, blanks around them or composed characters. --exact keeps them apart."
    )
