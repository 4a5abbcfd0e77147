"""Votes between two responses that say by how much: as words, in the ways in which tools and people write them.

    much better, slightly better, about the same, slightly worse, much worse       of the first against the second
    Response 1 is much better than Response 2; A is slightly better; B significantly better; strongly prefer B
    A>>B, A>B, A=B, B>A, B>>A; [[A>B]]
    +, -, =; ++, --; >, <                                                          of the first against the second

They become `a-much-better`, `a-better`, `a-slightly-better`, `a-negligibly-better`, `tie` and the same of b: an
ordinal scale, on which each grade that one side has the other has too. Where all are of one grade they are a, b, tie.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from dcpc.data.equality import are_numbers, visible
from dcpc.data.raw import RawTable
from dcpc.data.reading import Reading
from dcpc.data.scales import as_text, canonical_preferences
from dcpc.names import first_of

GRADES = ("negligibly", "slightly", "", "much")
"""From weak to strong; the third has no word of its own."""

_GRADE_WORDS = {
    "negligibly": 0,
    **dict.fromkeys(
        ("slightly", "slight", "somewhat", "marginally", "weakly", "weak", "barely", "little", "bit", "mildly"), 1
    ),
    **dict.fromkeys(("moderately", "moderate"), 2),
    **dict.fromkeys(
        (
            "much", "far", "significantly", "clearly", "strongly", "strong", "definitely", "considerably",
            "substantially", "way", "greatly", "lot", "overwhelmingly",
        ),
        3,
    ),
}  # fmt: skip
_BETTER = {"better", "prefer", "prefers", "preferred", "wins", "win", "superior", "favor", "favour", "best"}
_WORSE = {"worse", "inferior", "loses"}
_TIE = {
    "tie", "tied", "equal", "equally", "same", "draw", "similar", "neither", "neutral", "comparable", "equivalent",
    "indifferent", "either", "even", "bothbad", "bothgood", "undecided", "par",
}  # fmt: skip
_NAMES = "response|answer|model|assistant|output|option|completion|candidate|text|summary|system|reply|side"
_SIDE = {
    **dict.fromkeys(("a", "1", "one", "first", "left"), "a"),
    **dict.fromkeys(("b", "2", "two", "second", "right"), "b"),
}
_FILLERS = {
    *_NAMES.split("|"), *(f"{name}s" for name in _NAMES.split("|")), "is", "are", "was", "the", "it", "i", "very",
    "of", "both", "about", "roughly", "they", "as", "no", "preference", "difference", "good", "bad", "or", "unsure",
    "and", "quality", "in", "on", "inconsistent",
}  # fmt: skip

_SIGNS = {
    "+": ("a", 2), "++": ("a", 3), ">": ("a", 2), ">>": ("a", 3),
    "-": ("b", 2), "--": ("b", 3), "<": ("b", 2), "<<": ("b", 3),
    "=": ("tie", 2), "==": ("tie", 2), "~": ("tie", 2),
}  # fmt: skip
"""Signs alone; a minus by itself may stand for no answer, and is a vote only beside a plus."""

Vote = tuple[str, int]
"""`a`, `b` or `tie`, and the position in `GRADES`."""


def with_grades(raw: RawTable, reading: Reading) -> tuple[RawTable, Reading]:
    """Graded votes under their usual names, and the reading with the whole scale; as they are where they are none."""
    pairs = {"response_a", "response_b"} <= set(raw.frame)
    declared = reading.labels
    known = declared is not None and (set(declared) <= set(_ALL) or set(declared) <= {"a", "b", "tie"})
    if not pairs or reading.exact or reading.range is not None or not (declared is None or known):
        return raw, reading
    raw = _with_sides_of_models(raw)
    labels = as_text(raw.frame["label"])
    found = [str(label) for label in labels.dropna().unique()]
    votes = votes_of(found)
    if votes is None:
        return raw, reading
    single = len({grade for side, grade in votes.values() if side != "tie"}) == 1
    if single and declared is not None and set(declared) <= set(_ALL) and not {"a", "b"} & set(declared):
        single = False  # those of an adapter that knows grades
    if single and reading.scale not in (None, "preference"):
        return raw, reading
    if not single and reading.scale not in (None, "ordinal"):
        return raw, reading
    if not single and declared is None:
        reading = replace(reading, labels=_scale(votes.values()), scale="ordinal")
    names = {label: _name(vote, single=single) for label, vote in votes.items()}
    changed = [f'"{label}" as {name}' for label, name in names.items() if label != name]
    if not changed:
        return raw, reading
    frame = raw.frame.assign(label=pd.Series(labels.map(names), index=raw.frame.index, dtype="str"))
    note = f"Votes were read by their words: {first_of(changed, 7)}."
    return replace(raw, frame=frame).with_notes(note), reading


_MODELS = (("model_a", "model_b"), ("model_1", "model_2"), ("model1", "model2"))


def _with_sides_of_models(raw: RawTable) -> RawTable:
    """Votes for a model by its name, as for the side that `model_a` or `model_b` says it is on."""
    names = next((pair for pair in _MODELS if set(pair) <= set(raw.frame)), None)
    if names is None:
        return raw
    labels, first, second = (as_text(raw.frame[name]) for name in ("label", *names))
    sides = np.where(labels == first, "a", np.where(labels == second, "b", ""))
    by_name = (sides != "") & (first != second).to_numpy()
    if not by_name.any():
        return raw
    rest = labels[~by_name].dropna().unique()
    if any(vote(str(label)) is None or vote(str(label))[0] != "tie" for label in rest):  # type: ignore[index]
        return raw
    frame = raw.frame.assign(label=labels.where(~by_name, pd.Series(sides, index=labels.index)))
    return replace(raw, frame=frame).with_notes(
        f'Votes for a model by its name were read as for its side ("{names[0]}").'
    )


def votes_of(found: Sequence[str]) -> dict[str, Vote] | None:
    """What each label votes for; None unless all do, some for a side, and something else than a, b or tie says so."""
    if not found or are_numbers(found) or canonical_preferences(pd.Series(found), "") is not None:
        return None
    signs = {label: re.sub("[−–]", "-", visible(label)) for label in found}
    if set(signs.values()) <= set(_SIGNS) and {"+", "++", ">", ">>", "<", "<<"} & set(signs.values()):
        return {label: _SIGNS[sign] for label, sign in signs.items()}
    votes = {label: vote(label) for label in found}
    if any(each is None for each in votes.values()) or all(
        each is not None and each[0] == "tie" for each in votes.values()
    ):
        return None
    return {label: each for label, each in votes.items() if each is not None}


def vote(label: str) -> Vote | None:
    """What one label votes for; None where it is no vote."""
    text = re.sub(r"[\[\]@\"'*.!]", " ", visible(label).lower()).strip()
    text = re.sub(
        r"[,:]\s*[ab]\s*[<>=]{1,2}\s*[ab]$", "", text
    )  # the sentence of an arena judge, and its sign
    if arrow := re.fullmatch(r"([ab12])\s*(>{1,2}|<{1,2}|={1,2}|~|≈|≫|≻)\s*([ab12])", text):
        return _of_arrow(*arrow.groups())
    text = re.sub(r"^\d+\s*[-:)=]\s*", "", text)
    text = re.sub(r"\ba (bit|little|tad|touch)\b", "slightly", text)
    text = re.sub(r"\ba (lot|great deal)\b", "much", text)
    before = re.split(r"\b(?:than|over|compared|to)\b", text)[0]
    words = [re.sub(rf"^(?:{_NAMES})([ab12])$", r"\1", word) for word in re.findall(r"[^\W_]+", before)]
    known = {*_FILLERS, *_SIDE, *_GRADE_WORDS, *_BETTER, *_WORSE, *_TIE}
    if not words or not set(words) <= known:
        return None
    sides = {_SIDE[word] for word in words if word in _SIDE}
    grade = next((_GRADE_WORDS[word] for word in words if word in _GRADE_WORDS), 2)
    better, worse = bool(_BETTER & set(words)), bool(_WORSE & set(words))
    no_choice = {"no", "preference"} <= set(words) or {"no", "difference"} <= set(words)
    alike = "both" in words and (bool({"good", "bad"} & set(words)) or set(words) <= {"both", *_FILLERS})
    if "neither" in words or ((_TIE & set(words) or no_choice or alike) and not better and not worse):
        return "tie", 2
    if len(sides) > 1 or (better and worse) or not (sides or better or worse):
        return None
    side = next(iter(sides), "a")  # "much better" is said of the first response
    return (("b" if side == "a" else "a") if worse else side), grade


def _of_arrow(left: str, sign: str, right: str) -> Vote | None:
    sides = _SIDE[left], _SIDE[right]
    if sides[0] == sides[1]:
        return None
    if sign[0] in "=~≈":
        return "tie", 2
    return sides[sign[0] == "<"], 3 if len(sign) == 2 or sign == "≫" else 2


def _name(given: Vote, *, single: bool) -> str:
    side, grade = given
    if side == "tie" or single:
        return side
    return "-".join(part for part in (side, GRADES[grade], "better") if part)


_ALL = ("tie", *(_name((side, grade), single=False) for side in "ab" for grade in range(len(GRADES))))


def _scale(votes: Iterable[Vote]) -> list[str]:
    """All grades that a side has, of both sides, from the best for a to the best for b."""
    given = set(votes)
    grades = sorted({grade for side, grade in given if side != "tie"})
    tie = [_name(("tie", 2), single=False)] if any(side == "tie" for side, _ in given) else []
    return [
        *(_name(("a", grade), single=False) for grade in reversed(grades)),
        *tie,
        *(_name(("b", grade), single=False) for grade in grades),
    ]
