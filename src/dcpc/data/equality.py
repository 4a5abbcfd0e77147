"""Ids and labels that differ only in how a tool writes them: one spelling for each.

pandas writes 1 as 1.0 beside a missing value, Excel TRUE for true and 1 for 01, macOS é as two characters. What is
folded is counted, and said; `exact` folds nothing. Decisions:

- Numbers are folded only where the whole column is numeric: beside words, `1.0` may be a version or a chapter. Ids
  must be whole numbers for that, since 1.1 and 1.10 are two chapters. They are compared by digits, never as floats.
- A sign may be any of Unicode's minus signs, and thousands may be parted by commas where the whole column is numeric
  then. `="01"` is how spreadsheets keep 01 as it is.
- `true` and `false`, in any case of letters, are truth values where a column has nothing else; so are 1 and 0 beside
  them.
- The order inside a combined label, `a,b`, counts only where the column never has another order of the same parts.
- Surrounding blanks, and characters that Unicode composes in two ways, are folded in every column.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context

import numpy as np
import pandas as pd

from dcpc.data.mapped import by_parts
from dcpc.data.raw import count

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_WHOLE = re.compile(r"[+-]?\d+(\.0*)?")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")
_MINUS = re.compile(r"^[\u2212\u2013\ufe63\uff0d]\s?(?=[\d.])")
_KEPT = re.compile(r'="([^"]*)"')
_BEFORE_PERCENT = re.compile(r"(?<=\d)\s+(?=%$)")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_TRUTH = {"true": "true", "false": "false", "1": "true", "0": "false", "1.0": "true", "0.0": "false"}
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"
_BETWEEN_PARTS = (",", ";", "|", "\n")
_SHOWN = 3
_LONGEST_EXPONENT = 15


@dataclass(frozen=True)
class Folded:
    """Values in one spelling each.

    Attributes:
        values: [J] strings, NaN where there is none.
        spellings: as written → as folded, of those that differ.
        changed: how many of the J values they are.
    """

    values: pd.Series
    spellings: Mapping[str, str]
    changed: int

    def note(self, what: str) -> tuple[str, ...]:
        """One sentence on what was folded: `3 labels were written in another way …`; none where nothing was."""
        if not self.changed:
            return ()
        shown = [f'"{written}" as "{folded}"' for written, folded in self.spellings.items()][:_SHOWN]
        more = f" and {len(self.spellings) - _SHOWN:,} more" if len(self.spellings) > _SHOWN else ""
        return (
            f"Taken as equal, {count(self.changed, what)} written in another way: {', '.join(shown)}{more}. "
            "--exact keeps them apart.",
        )


def fold_labels(
    labels: pd.Series,
    declared: Sequence[str] | None = None,
    *,
    decimal_comma: bool = False,
) -> Folded:
    """Labels [J] in one spelling each.

    Args:
        labels: strings as written (see `as_text`), NaN where missing.
        declared: the label set, whose own spellings count; labels are matched to it.
        decimal_comma: whether `1,5` may be a number.
    """
    return _folded(labels, lambda found: _spellings_of_labels(found, declared, decimal_comma))


def fold_ids(ids: pd.Series) -> Folded:
    """Ids [J] in one spelling each; see `spellings_of_ids`."""
    if _are_plain(ids):
        return Folded(ids, {}, 0)
    return _folded(ids, spellings_of_ids)


def _are_plain(ids: pd.Series) -> bool:
    """Whether ids are written in their one spelling, told without a look at each by itself: there may be millions."""
    if ids.dtype != "str" or ids.hasnans:
        return False

    def fit(pattern: str) -> np.ndarray:
        return by_parts(ids, lambda part: part.str.fullmatch(pattern).to_numpy(bool))

    if fit("0|-?[1-9][0-9]*").all():
        return True
    return bool(fit("[!-<>-~]([ -~]*[!-~])?").all() and not fit(r"[+-]?[0-9]+(\.0*)?").all())


def spellings_of_ids(found: Sequence[str]) -> dict[str, str]:
    """Of distinct ids: as written → in one spelling.

    Where all are whole numbers, 1.0 is 1, and so is 01 beside a 1. Zeros in front stay where a number is written
    with them throughout: 007 is how other tables of the user name it.
    """
    plain = {written: _cell(written) for written in found}
    if not all(_WHOLE.fullmatch(value) for value in plain.values()):
        return plain
    padded: dict[str, set[str]] = {}  # number → how it is written; 1.0 is what pandas makes of 1
    for value in plain.values():
        padded.setdefault(_whole(value), set()).add(_whole(value) if "." in value else value.lstrip("+"))
    return {
        written: next(iter(same)) if len(same := padded[_whole(value)]) == 1 else _whole(value)
        for written, value in plain.items()
    }


def same_ids(found: Collection[str], known: Collection[str]) -> dict[str, str]:
    """Which of the ids `found` in one file are which of those `known` from another, written in another way.

    Returns:
        found → known, of those that are not known as they are written.
    """
    keys = {_key_of_id(name): name for name in known}
    return {name: keys[_key_of_id(name)] for name in found if name not in known and _key_of_id(name) in keys}


def _key_of_id(name: str) -> str:
    plain = _cell(name)
    return _whole(plain) if _WHOLE.fullmatch(plain) else plain


def visible(value: str) -> str:
    """A text as one sees it: composed characters (NFC), without blanks and invisible marks around it."""
    composed = value if value.isascii() else unicodedata.normalize("NFC", value)
    return composed.strip().strip(_INVISIBLE).strip()


def _cell(value: str) -> str:
    """A label or an id as one sees it, without what a spreadsheet puts around it to keep it as it is."""
    seen = visible(value)
    kept = _KEPT.fullmatch(seen)
    return visible(kept[1]) if kept else seen


def _digits(value: str) -> str:
    """A number with another minus sign, or with commas between thousands, as plain digits; else the value."""
    signed = _MINUS.sub("-", value)
    return signed.replace(",", "") if _THOUSANDS.fullmatch(signed) else signed


def plain_text(value: str) -> str:
    """An item's text, to be compared with another: as one sees it, with one kind of line break."""
    return visible(value).replace("\r\n", "\n").replace("\r", "\n")


def plain_number(text: str) -> str:
    """A decimal number in its one spelling, exactly: `1` for 1.0 and 01, `2.5` for 2.50, `1E+400` as it is."""
    digits = Context(prec=max(28, len(text)), Emax=MAX_EMAX, Emin=MIN_EMIN)
    number = digits.create_decimal(text).normalize(digits)
    if number == 0:
        return "0"
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)  # the text is finite
    return f"{number:f}" if -_LONGEST_EXPONENT <= exponent <= _LONGEST_EXPONENT else f"{number:E}"


def are_numbers(values: Iterable[str]) -> bool:
    """Whether every string is a finite decimal number (`nan` and `inf` are words here)."""
    return all(NUMBER.fullmatch(value) for value in values)


def _whole(text: str) -> str:
    """A whole number without leading zeros, a plus sign and an empty fraction."""
    digits = text.partition(".")[0]
    plain = digits.lstrip("+-").lstrip("0") or "0"
    return f"-{plain}" if digits.startswith("-") and plain != "0" else plain


def _folded(values: pd.Series, spellings_of: Callable[[Sequence[str]], dict[str, str]]) -> Folded:
    codes, distinct = pd.factorize(values)
    found = [str(value) for value in distinct]
    spellings = spellings_of(found)
    cast = np.array([*(spellings[value] or None for value in found), None], dtype=object)  # last: missing
    changed = {written: folded for written, folded in spellings.items() if written != folded}
    counts = np.bincount(codes[codes >= 0], minlength=len(found))
    number = sum(int(counts[code]) for code, written in enumerate(found) if written in changed)
    series = pd.Series(cast[codes], index=values.index, name=values.name, dtype="str")
    return Folded(series, changed, number)


def _spellings_of_labels(
    found: Sequence[str], declared: Sequence[str] | None, decimal_comma: bool
) -> dict[str, str]:
    plain = {written: _BEFORE_PERCENT.sub("", _cell(written)) for written in found}
    values = {value for value in plain.values() if value}
    if declared is not None:
        known = _matches(values, declared, decimal_comma)
    else:
        known = _own_spellings(values, decimal_comma)
    return {written: known.get(value, value) for written, value in plain.items()}


def _own_spellings(values: Collection[str], decimal_comma: bool) -> dict[str, str]:
    """Of distinct labels that nobody declared: as seen → in one spelling."""
    if decimal_comma and _are_decimal_commas(values):
        values = {value: value.replace(",", ".") for value in values}
        return {value: plain_number(number) for value, number in values.items()}
    digits = {value: _MINUS.sub("-", value) if decimal_comma else _digits(value) for value in values}
    if are_numbers(digits.values()):
        return {value: plain_number(number) for value, number in digits.items()}
    if _are_truth_values(values):
        return {value: _TRUTH[value.lower()] for value in values}
    return _combined_in_one_order(values)


def _are_truth_values(values: Collection[str]) -> bool:
    lowered = {value.lower() for value in values}
    return bool(lowered & {"true", "false"}) and lowered <= _TRUTH.keys()


def _are_decimal_commas(values: Collection[str]) -> bool:
    with_comma = [value for value in values if _DECIMAL_COMMA.fullmatch(value)]
    others = [value for value in values if not _DECIMAL_COMMA.fullmatch(value)]
    return bool(with_comma) and are_numbers(others) and not any("." in value for value in others)


def _combined_in_one_order(values: Collection[str]) -> dict[str, str]:
    """Labels of several parts that come in more than one order: their parts in the order of the alphabet."""
    same: dict[tuple[str, ...], list[str]] = {}
    for value in values:
        parts = _parts(value)
        if parts is not None:
            same.setdefault(parts, []).append(value)
    return {
        value: separator.join(parts)
        for (separator, *parts), alike in same.items()
        if len(alike) > 1
        for value in alike
    }


def _parts(label: str) -> tuple[str, ...] | None:
    """What stands between the parts of a combined label, and these by the alphabet; None for one part."""
    separator = next((mark for mark in _BETWEEN_PARTS if mark in label), None)
    return (
        None if separator is None else (separator, *sorted(part.strip() for part in label.split(separator)))
    )


def _matches(values: Collection[str], declared: Sequence[str], decimal_comma: bool) -> dict[str, str]:
    """Labels → those of the declared set that they are, in another spelling; no entry for the others."""
    keys: dict[object, str] = {}
    for label in reversed(declared):
        for key in _keys(visible(label), truth=_are_truth_values(declared)):
            keys[key] = label
    truth = _are_truth_values(values)
    if truth and set(map(str, declared)) <= {"0", "1"}:
        keys |= {("truth", "true"): "1", ("truth", "false"): "0"}
    found = {}
    for value in values:
        comma = decimal_comma and _DECIMAL_COMMA.fullmatch(value)
        number = value.replace(",", ".") if comma else _digits(value)
        for key in (*_keys(value, truth=truth), *_keys(number, truth=_are_truth_values(declared))):
            if key in keys:
                found[value] = keys[key]
                break
    return found


def _keys(label: str, *, truth: bool) -> list[object]:
    """What a label may be known by, the strictest first."""
    keys: list[object] = [label]
    if NUMBER.fullmatch(label):
        keys.append(("number", plain_number(label)))
    if truth and label.lower() in _TRUTH:
        keys.append(("truth", _TRUTH[label.lower()]))
    if _parts(label) is not None:
        keys.append(("parts", _parts(label)))
    return keys
