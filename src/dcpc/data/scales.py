"""Label scales: canonical labels, and whether they are nominal, ordinal or a preference of two responses.

Decisions:
- Two response columns make a preference. Numbers with more than two distinct values are ordinal. All else is
  nominal. `scale=` and `labels=` override each step.
- Up to 101 numeric values are an ordinal scale; above `MANY_LEVELS` a note suggests
  bins. More than 101 numeric values are a continuous score, which has to be binned first: an error.
- More than 100 nominal classes are accepted with a note, unless more than half of the judgements bring a new
  one: that is free text or an id, not a label.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dcpc.data.annotations import Scale
from dcpc.data.equality import NUMBER, are_numbers, plain_number
from dcpc.data.mapped import ROWS, by_parts, joined
from dcpc.errors import DataError, UsageError

SCALES: tuple[Scale, ...] = ("nominal", "ordinal", "preference")
MANY_LEVELS = 30
MOST_LEVELS = 101
MANY_CLASSES = 100

ABSENT = ("NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None")
"""What pandas and R write for a missing value, exactly so: not labelled in a wide table, noted in a long one."""

LIKELY_ABSTENTIONS = frozenset(
    {word.casefold() for word in ABSENT}
    | {
        "-", "--", "?", "??", "idk", "skip", "skipped", "unsure", "not sure",
        "don't know", "dont know",
        "i don't know", "abstain", "cannot say", "can't say", "no answer", "unclear", "none of the above",
        "not applicable", "#ref!", "#value!", "#name?", "#div/0!", "#null!", "#num!",
    }
)  # fmt: skip
"""Labels that may mean that somebody did not judge, in small letters: noted, for the user to decide."""

PREFERENCE_SYNONYMS = {
    "a": ("a", "1", "a1", "response_a", "response_1", "response1", "response-1", "model_a", "first", "left"),
    "b": (
        "b",
        "2",
        "a2",
        "response_b",
        "response_2",
        "response2",
        "response-2",
        "model_b",
        "second",
        "right",
    ),
    "tie": ("tie", "0", "equal", "same", "draw", "both", "tie (bothbad)", "tie (inconsistent)", "both_bad"),
}
_PREFERENCE = {synonym: label for label, synonyms in PREFERENCE_SYNONYMS.items() for synonym in synonyms}


def as_text(values: pd.Series, *, exact: bool = False) -> pd.Series:
    """Ids or labels as strings: 1 and 1.0 become "1", true "true"; blank strings count as missing.

    Args:
        values: any dtype [J].
        exact: keep spaces around strings.

    Returns:
        A string series [J] with NaN where there is no value.

    Raises:
        TypeError: if a value is a list or a mapping.
    """
    if pd.api.types.is_integer_dtype(values.dtype) and not values.hasnans:
        parts = (values.iloc[start : start + ROWS] for start in range(0, len(values), ROWS))
        return joined(part.astype("str").to_frame() for part in parts).iloc[:, 0]
    if values.dtype == "str" and not by_parts(values, _is_blank if exact else _is_padded).any():
        return values
    if values.dtype == object:
        # True and 1 are one value to a hash table; and `map` would make floats of integers beside a missing one.
        cells = [_written(value) if isinstance(value, bool | np.bool_) else value for value in values]
        values = pd.Series(cells, values.index, dtype=object, name=values.name)
    codes, found = pd.factorize(values)  # a cast per distinct value, not per row
    texts = [_written(value) for value in found]
    if not exact:
        texts = [text.strip() for text in texts]
    cast = np.array(
        [*(text if text.strip() else None for text in texts), None], dtype=object
    )  # last: missing
    return pd.Series(cast[codes], index=values.index, name=values.name, dtype="str")


def _is_blank(values: pd.Series) -> np.ndarray:
    return (values.str.strip() == "").to_numpy(bool)


def _is_padded(values: pd.Series) -> np.ndarray:
    """Which are blank, or have blanks around them."""
    stripped = values.str.strip()
    return ((stripped == "") | (stripped != values) & values.notna()).to_numpy(bool)


def _written(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, float | np.floating):
        return format_number(float(value))
    return str(value)


def format_number(number: float) -> str:
    """A number without a needless fraction: `1` for 1.0, `2.5` for 2.5."""
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def numbers_written_apart(labels: Sequence[str]) -> list[str]:
    """Of distinct labels some of which are words: those that are one number in several spellings, as 1 and 1.0."""
    spellings: dict[str, list[str]] = {}
    for label in labels:
        if NUMBER.fullmatch(label):
            spellings.setdefault(plain_number(label), []).append(label)
    return [label for same in spellings.values() if len(same) > 1 for label in same]


def canonical_preferences(labels: pd.Series, source: str) -> pd.Series | None:
    """Preference labels as `a`, `b`, `tie` [J], from any of their synonyms; None if a label is none of these.

    Raises:
        DataError: if the labels are 0 and 1 only, which may mean "second or first" or "tie or first".
    """
    codes, found = pd.factorize(as_text(labels).str.lower())
    if set(found) == {"0", "1"}:
        raise DataError(
            "the preference labels are 0 and 1: a tie and the first response, or the two responses?",
            where=source,
            fix="Write the labels as a, b and tie.",
        )
    if set(found) in ({"0", "0.5", "1"}, {"0", "0.5"}, {"0.5", "1"}):
        raise DataError(
            "the preference labels are 0, 0.5 and 1: is 1 a vote for the first response, or for the second?",
            where=source,
            fix="Write the labels as a, b and tie.",
        )
    if not set(found) <= set(_PREFERENCE):
        return None
    cast = np.array([*(_PREFERENCE[value] for value in found), None], dtype=object)
    return pd.Series(cast[codes], index=labels.index, name="label", dtype="str")


def names_a_side(label: str) -> bool:
    """Whether a label is one of the synonyms of `a`, `b` and `tie`."""
    return str(label).lower() in _PREFERENCE


def choose_scale(found: Sequence[str], *, has_responses: bool, declared: Scale | None) -> Scale:
    """The scale of the distinct labels `found`: declared, or told from the labels and columns.

    Raises:
        UsageError: if `declared` is not the name of a scale.
    """
    if declared is not None:
        if declared not in SCALES:
            raise UsageError(f'"{declared}" is not a label scale.', fix=f"Choose one of {', '.join(SCALES)}.")
        return declared
    degrees = are_numbers(found) and not set(found) <= {*_PREFERENCE, "0.5"}
    if has_responses and not degrees:  # −3 … 3 say by how much one response is better
        return "preference"
    return "ordinal" if (len(found) > 2 or has_responses) and are_numbers(found) else "nominal"


def order_labels(found: Sequence[str], scale: Scale, source: str) -> tuple[str, ...]:
    """The label set in its order: numbers by value, `a` before `b` before `tie`, words by the alphabet.

    Raises:
        DataError: if an ordinal scale has words whose order nobody declared, or too many values.
    """
    if scale == "preference":
        return ("a", "b", "tie") if "tie" in found else ("a", "b")
    if are_numbers(found):
        return tuple(sorted(found, key=float))
    if scale == "ordinal":
        word = next(label for label in found if not are_numbers([label]))
        raise DataError(
            f'the scale is ordinal, but the order of labels such as "{word}" is not known.',
            where=source,
            fix="Declare the labels from low to high, e.g. --labels low,middle,high.",
        )
    return tuple(sorted(found))


def range_option(found: Sequence[str]) -> str:
    """What to type for a slider with these values: a usual range around them, else from the lowest to the highest."""
    values = [float(label) for label in found]
    low, high = min(values), max(values)
    usual = ((0, 1), (-1, 1), (0, 10), (0, 100), (-100, 100))
    low, high = next(
        ((a, b) for a, b in usual if a <= low and high <= b and high - low > (b - a) / 5), (low, high)
    )
    return f"--range {low:.15g} {high:.15g}"


def check_size(
    found: Sequence[str], judgements: int, scale: Scale, source: str, *, combined: bool = False
) -> tuple[str, ...]:
    """Notes on a label set that is large; not called where the user declared the labels.

    Args:
        found: the distinct labels.
        judgements: how many there are.
        scale: of the labels.
        source: for messages.
        combined: some labels are several in one, of which there may be very many.

    Raises:
        DataError: if the labels look like a continuous score, like free text or like ids.
    """
    size = len(found)
    if scale == "ordinal" and size > MOST_LEVELS:
        raise DataError(
            f"the labels are {size:,} different numbers: a continuous score, not a label set.",
            where=source,
            fix=f"If they are a slider's, declare its ends, as {range_option(found)}; else put them into a few bins "
            "first, or declare --scale nominal if they are class numbers.",
        )
    if scale == "nominal" and size > MANY_CLASSES and size > judgements / 2 and not combined:
        raise DataError(
            f"{size:,} different labels in {judgements:,} judgements: free text or ids, not labels.",
            where=source,
            fix="Name the label column with --columns label=NAME, or declare the label set with --labels.",
        )
    if scale == "ordinal" and size > MANY_LEVELS:
        return (
            f"The ordinal scale has {size} levels; a few bins are learned better from few judgements each. Of a "
            f"slider, {range_option(found)} learns the values that nobody chose, too.",
        )
    if size > MANY_CLASSES:
        return (f"{size:,} classes in {judgements:,} judgements: many classes have few examples.",)
    return ()
