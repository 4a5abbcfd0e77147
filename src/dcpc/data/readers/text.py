"""Text files: UTF-8 only, JSON with the line of the mistake, JSON Lines in batches."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm

from dcpc.data.readers.json_faults import malformed
from dcpc.errors import DataError

_PROGRESS_FROM = 50_000_000  # bytes; smaller files are read within two seconds


def not_utf8(path: Path, source: str) -> NoReturn:
    """Raise the error that names the first byte of `path` which is not UTF-8."""
    decoder, position = codecs.getincrementaldecoder("utf-8")(), 0
    with path.open("rb") as file:
        head = file.read(2)
        file.seek(0)
        while block := file.read(1 << 20):
            kept = len(decoder.getstate()[0])
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                position += error.start - kept
                break
            position += len(block)
    encoding = "UTF-16" if head in (b"\xff\xfe", b"\xfe\xff") else "Windows-1252"
    raise DataError(
        f"byte {position + 1:,} is not UTF-8 text.",
        where=source,
        fix=f"Save the file as UTF-8; it may be {encoding} now (iconv -f {encoding} -t UTF-8).",
    )


def read_text(path: Path, source: str) -> str:
    """The whole file, without a byte order mark.

    Raises:
        DataError: if it is not UTF-8; names the byte.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        not_utf8(path, source)


def parse_json(text: str, source: str, *, line: int = 1) -> Any:
    """The JSON value in `text`, which starts on line `line` of the file.

    Raises:
        DataError: if it is malformed; names the line and column.
    """
    try:
        value = json.loads(text, object_pairs_hook=object_of)
        check_characters(value, text)
        return value
    except UnicodeEncodeError as error:
        raise DataError(
            "half a character: one escape of a surrogate pair stands alone, as where a text was cut within an emoji.",
            where=f"{source}, line {line}",
            fix="Remove it, or export the text again.",
        ) from error
    except KeyTwiceError as error:
        raise DataError(
            f'the key "{error}" comes twice in one object.',
            where=f"{source}, line {line}" if line > 1 or "\n" not in text else source,
            fix="Remove one of the two, or export the file again.",
        ) from error
    except json.JSONDecodeError as error:
        raise malformed(text, error, source, line) from error
    except ValueError as error:  # an integer of more digits than Python reads
        raise DataError(
            f"malformed JSON: {str(error).split(';')[0]}.",
            where=f"{source}, line {line}",
            fix="Export the file again, or correct this line.",
        ) from error
    except RecursionError as error:
        raise DataError(
            "malformed JSON: nested too deeply.", where=source, fix="Export the file again."
        ) from error


_STRING_OR_COMMA = re.compile(r'"(?:[^"\\]|\\.)*"|,(?=\s*(?:[}\]]|\Z))', re.S)


def without_closing_commas(text: str) -> tuple[str, int]:
    """JSON with blanks in place of commas that nothing follows, as `[1, 2,]`, and how many; strings stay."""
    commas = 0

    def blank(found: re.Match[str]) -> str:
        nonlocal commas
        if found[0] != ",":
            return found[0]
        commas += 1
        return " "

    return _STRING_OR_COMMA.sub(blank, text), commas


class KeyTwiceError(Exception):
    """A key that comes twice in one object, of which Python would silently keep the last."""


def check_characters(value: Any, text: str) -> None:
    """Raise UnicodeEncodeError where a value holds half of a surrogate pair, which is no text.

    Args:
        value: what JSON said.
        text: the JSON.
    """
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode()


def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of its keys and values; KeyTwiceError where a key comes twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        raise KeyTwiceError(next(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
    return found


def progress_bar(path: Path) -> tqdm:
    """A bar of what has been read of a file, shown where it is large."""
    size = path.stat().st_size
    return tqdm(
        total=size, unit="B", unit_scale=True, desc=path.name, disable=size < _PROGRESS_FROM, leave=False
    )


def json_lines(
    path: Path, source: str, *, closing_commas: bool = False
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and object of each line that is not blank.

    Args:
        path: the file.
        source: as the user named it.
        closing_commas: whether commas that nothing follows are left out.

    Raises:
        DataError: if a line is not UTF-8, not JSON, or not an object.
    """
    with path.open(encoding="utf-8-sig") as file, progress_bar(path) as bar:
        number = 0
        try:
            for number, line in enumerate(file, start=1):
                bar.update(len(line))
                if not line.strip():
                    continue
                line = without_closing_commas(line)[0] if closing_commas else line
                value = parse_json(line.rstrip(), source, line=number)
                if not isinstance(value, dict):
                    raise DataError(
                        f"a JSON object is needed, found {type(value).__name__}.",
                        where=f"{source}, line {number}",
                        fix="Write one object {...} per line.",
                    )
                yield number, value
        except UnicodeDecodeError:
            not_utf8(path, source)
