"""The objects of a JSON array one by one, of which a part of the file at a time is in memory.

Each object is parsed as in a whole reading. At the first thing that is not an object, a comma or the array's end, the
file is read whole after all: whatever is wrong with it is then said in the same words, at the same place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from dcpc.data.readers.text import KeyTwiceError, check_characters, not_utf8, object_of, progress_bar

_PART = 2**20
"""Characters that are read at a time."""
_SPACE = " \t\n\r"


def is_json_array(path: Path) -> bool:
    """Whether the first character that is no white space opens an array."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        while part := file.read(4096):
            if text := part.lstrip(_SPACE):
                return text[0] == "["
    return False


def array_entries(
    path: Path, source: str, whole: Callable[[], Iterable[tuple[int, dict[str, Any]]]], notes: list[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number, from 1, and object of each entry of the array that a file holds.

    Args:
        path: the file.
        source: as the user named it.
        whole: the same from a reading of the whole file; called where the file is not an array of objects alone.
        notes: gets word of a comma after the last object, which is skipped.

    Raises:
        DataError: if the file is not UTF-8, or as `whole` does.
    """
    done = 0
    try:
        with path.open(encoding="utf-8-sig") as file, progress_bar(path) as bar:
            window = _Window(file, bar)
            for entry in _objects(window):
                done += 1
                yield done, entry
        if window.closing_comma:
            notes.append("1 comma that nothing follows skipped.")
        return
    except UnicodeDecodeError:
        not_utf8(path, source)
    except (_OddError, KeyTwiceError, ValueError, RecursionError):
        pass
    yield from islice(whole(), done, None)


class _OddError(Exception):
    """Something else than an array of objects."""


class _Window:
    """A part of a text, of which what has been read is let go of.

    Attributes:
        text: the part.
        at: where the next value or sign starts in it.
        closing_comma: whether a comma stood after the last object.
    """

    def __init__(self, file: TextIO, bar: tqdm) -> None:
        self._file, self._bar, self.text, self.at = file, bar, "", 0
        self.closing_comma = False

    def more(self) -> bool:
        """Read on, at least as much as is held already; whether there was anything."""
        rest = self.text[self.at :]
        part = self._file.read(max(_PART, len(rest)))
        self._bar.update(len(part))
        self.text, self.at = rest + part, 0
        return bool(part)

    def sign(self) -> str:
        """The next character that is no white space, which is passed; empty at the end of the file."""
        while True:
            text, at = self.text, self.at
            while at < len(text) and text[at] in _SPACE:
                at += 1
            self.at = at
            if at < len(text):
                self.at += 1
                return text[at]
            if not self.more():
                return ""

    def object(self) -> dict[str, Any]:
        """The object whose opening brace was the last sign."""
        self.at -= 1
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
                break
            except json.JSONDecodeError:
                if not self.more():  # else it may only be cut off
                    raise
        check_characters(value, self.text[self.at : end])
        self.at = end
        return value


_DECODER = json.JSONDecoder(object_pairs_hook=object_of)


def _objects(window: _Window) -> Iterator[dict[str, Any]]:
    """The objects between the brackets.

    Raises:
        _OddError: there is something else.
        ValueError, KeyTwiceError, RecursionError: an object is malformed.
    """
    if window.sign() != "[":
        raise _OddError
    sign = window.sign()
    while sign == "{":
        yield window.object()
        after = window.sign()
        if after == "]":
            sign = after
        elif after != "," or (sign := window.sign()) not in ("{", "]"):
            raise _OddError
        else:
            window.closing_comma = sign == "]"
    if sign != "]" or window.sign():
        raise _OddError
