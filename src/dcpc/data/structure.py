"""Cells that hold more than one value: JSON, lists, mappings, what Python and NumPy print of them.

Hub and Parquet files give arrays, Label Studio and MTurk JSON in a cell of CSV, pandas what Python prints of a list.
A label that has structure is one choice, several choices or a rating; anything else (spans, rankings, several
questions) is refused by name.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dcpc.data.scales import as_text

_ARRAY = re.compile(r"array\((.*?)(, dtype=[^()]*)?\)", re.S)
_TEXT_BEFORE_TEXT = re.compile(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(\s*)(?=(['"])?)""", re.S)
_NUMBERS_APART = re.compile(r"\[\s*-?[\d.]+(\s+-?[\d.]+)*\s*\]")
_ONE_VALUE = (
    "label",
    "rating",
    "number",
    "value",
    "answer",
    "score",
    "choice",
    "choices",
    "selected",
    "text",
)
"""Keys of a mapping whose value is the answer, where it has no other of them."""


class NotALabel(ValueError):
    """A cell that cannot be one label; the message says what it is, as `spans`."""


def plain(value: object) -> object:
    """A cell with arrays as lists and NumPy's numbers as Python's, through all levels; texts stay texts."""
    if isinstance(value, np.ndarray):
        return [plain(part) for part in value.tolist()]
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    return value.item() if isinstance(value, np.generic) else value


def parsed(text: str) -> object | None:
    """The list or mapping that a text is: JSON, or what Python or NumPy prints; None where it is none of these."""
    text = text.strip()
    if text[:1] not in ("[", "{") and not text.startswith("array("):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = _as_printed(text)
    return plain(value) if isinstance(value, list | dict | tuple) else None


def _as_printed(text: str) -> object | None:
    text = _ARRAY.sub(r"\1", text)
    if _NUMBERS_APART.fullmatch(text):
        text = re.sub(r"(?<=[\d.])\s+(?=[-\d.])", ", ", text)
    # Else Python would join 'a' 'b', as NumPy prints them, to one text.
    text = _TEXT_BEFORE_TEXT.sub(lambda found: found[1] + (", " if found[3] else found[2]), text)
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def is_missing(value: object) -> bool:
    """Whether a cell is empty: None, NaN and the like; a list is not."""
    if value is None or isinstance(value, list | dict | np.ndarray):
        return value is None
    return bool(pd.isna(value))  # type: ignore[call-overload]


def answer(value: object) -> object:
    """What a cell says: one value, a list of those chosen, or None.

    Args:
        value: as `plain` or `parsed` gives it.

    Raises:
        NotALabel: if it is none of these.
    """
    if isinstance(value, list):
        return _answer_of_list(value)
    if isinstance(value, Mapping):
        return _answer_of_mapping(value)
    return value


def _answer_of_list(values: Sequence[object]) -> object:
    values = [value for value in values if not is_missing(value)]
    if any(isinstance(value, list) for value in values):
        raise NotALabel("a list of lists, such as a ranking or a matrix")
    mappings = [value for value in values if isinstance(value, Mapping)]
    if not mappings:
        return list(values)
    if any(_is_span(value) for value in mappings):
        raise NotALabel("spans")
    if len(values) == 1:
        return answer(mappings[0])
    raise NotALabel("a list of objects")


def _answer_of_mapping(value: Mapping[str, object]) -> object:
    if _is_span(value):
        raise NotALabel("spans")
    if "ranker" in value or "ranking" in value:
        raise NotALabel("a ranking")
    if value and all(isinstance(part, bool) for part in value.values()):
        return [name for name, chosen in value.items() if chosen]
    named = [name for name in _ONE_VALUE if name in value]
    if len(named) == 1:
        return answer(value[named[0]])
    if len(value) == 1:  # {"question": {"label": "yes"}}
        (inner,) = value.values()
        if isinstance(inner, Mapping | list):
            return answer(inner)
        if isinstance(inner, str):  # {"question": "yes"}; of a number it may be a count
            return inner
    names = ", ".join(f'"{name}"' for name in list(value)[:5])
    raise NotALabel(f"an object with the keys {names}" if value else "an empty object")


def _is_span(value: object) -> bool:
    return isinstance(value, Mapping) and {"start", "end"} <= {str(key).lower() for key in value}


def is_counts(value: object) -> bool:
    """Whether a cell maps labels to counts or shares, `{"pos": 3, "neg": 1}`."""
    if not isinstance(value, Mapping) or len(value) < 2 or _is_span(value):
        return False
    return all(
        isinstance(n, int | float) and not isinstance(n, bool) and not is_missing(n) and n >= 0
        for n in value.values()
    )


def combined(chosen: Sequence[object]) -> str | None:
    """Several choices as one combined label, `a,b`, in the order of the alphabet; None where nothing was chosen."""
    parts = as_text(pd.Series(list(chosen), dtype=object)).dropna().unique()
    return ",".join(sorted(parts)) or None


def joined_text(value: object) -> str | None:
    """The text of a cell that holds turns of a conversation or tokens; None where it holds something else."""
    if not isinstance(value, list) or not value:
        return None
    if all(isinstance(part, str) for part in value):
        return " ".join(value)
    turns = [_turn(part) for part in value]
    return None if any(turn is None for turn in turns) else "\n".join(map(str, turns))


def _turn(value: object) -> str | None:
    if not isinstance(value, Mapping):
        return None
    speaker = next((value[name] for name in ("role", "from", "speaker") if name in value), None)
    said = next((value[name] for name in ("content", "value", "text") if name in value), None)
    return f"{speaker}: {said}" if isinstance(speaker, str) and isinstance(said, str) else None
