"""Votes between responses that are written as scores, ranks or rankings, one row for all responses to a prompt.

    response_a, response_b, score_a, score_b        the higher score wins, equal scores are a tie
    response_a, response_b, response_c, rank_a, …   the lower rank wins
    responses, ranking                              ["b", "a", "c"], best first; [["a", "b"], "c"] with a tie;
                                                    b>a=c; {"a": 2, "b": 1, "c": 3}, ranks

Responses are in columns, or in one that holds a list of them (called a, b, c, …) or an object name → text. Every two
of them are a pair, in the order of their columns, so that raters who disagree judge one item.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from string import ascii_lowercase
from typing import NamedTuple

import numpy as np
import pandas as pd

from dcpc.data.advice import PROMPTS, columns_option
from dcpc.data.equality import visible
from dcpc.data.mapped import joined, taken
from dcpc.data.raw import RawTable, count
from dcpc.data.scales import ABSENT
from dcpc.data.structure import is_missing, parsed
from dcpc.data.structure import plain as unwrapped
from dcpc.errors import DataError

_SIDES = ("response_a", "response_b")
_LISTS = ("responses", "completions", "answers", "candidates", "outputs", "generations")
_RANKINGS = ("ranking", "rankings", "ranked", "ranks", "preference_order", "label")
_RESPONSE = re.compile(r"(?:response|answer|completion|output)[ _-]?([a-z]|\d{1,2})", re.I)
_SCORE = re.compile(r"(?:score|scores|rating|points)[ _-]?([a-z]|\d{1,2})", re.I)
_RANK = re.compile(r"(?:rank|ranking)[ _-]?([a-z]|\d{1,2})", re.I)


class _Compared(NamedTuple):
    """K responses to each of R prompts, and how good somebody found each.

    Attributes:
        responses: their names → their texts, R each, missing where there are fewer.
        worth: the higher the better, float [R, K]; NaN where it is not known.
        said: how it was told, the beginning of a note.
        used: the columns that were read.
    """

    responses: dict[str, pd.Series]
    worth: np.ndarray
    said: str
    used: tuple[str, ...]


def with_prompts(raw: RawTable) -> RawTable:
    """Pairs of responses whose prompts stand in a column of a usual name; else they would be compared without."""
    if not set(_SIDES) <= set(raw.frame) or "text" in raw.frame:
        return raw
    found = [str(name) for name in raw.frame.columns if visible(str(name)).casefold() in PROMPTS]
    if not found:
        return raw
    option = columns_option({"text": found[0]})
    if len(found) > 1:
        names = " or ".join(f'"{name}"' for name in found)
        return raw.with_notes(
            f"The responses are compared without a prompt. Is it the column {names}? Then add {option}."
        )
    frame = raw.frame.rename(columns={found[0]: "text"})
    raw = replace(raw, frame=frame, renamed={**raw.renamed, "text": found[0]})
    return raw.with_notes(f'The prompts were read from the column "{found[0]}".')


def is_ranked(raw: RawTable) -> bool:
    """Whether rows hold more than two responses, so that one row is several pairs."""
    found = _compared(raw)
    return found is not None and len(found.responses) > 2


def with_votes(raw: RawTable) -> RawTable:
    """One row per pair and vote, a, b or tie, where rows have scores or a ranking; other tables stay as they are.

    Raises:
        DataError: a score is no number, or a ranking names what is no response.
    """
    found = _compared(raw)
    if found is None:
        return raw
    several = len(found.responses) > 2
    rest = [str(name) for name in raw.frame.columns if name not in (*found.used, *_SIDES, "label")]
    frames, places = [], []
    for first, second in combinations(range(len(found.responses)), 2):
        better = np.sign(found.worth[:, first] - found.worth[:, second])  # [R]
        rows = np.flatnonzero(~np.isnan(better))
        names = list(found.responses)[first], list(found.responses)[second]
        frame = taken(raw.frame[rest], rows)
        for side, name in zip(_SIDES, names, strict=True):
            frame[side] = found.responses[name].iloc[rows].reset_index(drop=True)
        frame["label"] = pd.Series(np.array(["b", "tie", "a"])[better[rows].astype(int) + 1], dtype="str")
        if several and "item_id" in frame:
            frame["item_id"] = frame["item_id"].astype("str") + f"/{names[0]}-{names[1]}"
        frames.append(frame)
        places.append(raw.places[rows])
    frame, place = joined(frames), np.concatenate(places)
    order = np.argsort(place, kind="stable")
    silent = int((~np.isin(raw.places, place)).sum())
    votes = frame["label"].value_counts()
    counted = (
        f"{votes.get('a', 0):,} for a, {votes.get('b', 0):,} for b, {count(int(votes.get('tie', 0)), 'tie')}"
    )
    notes = [f"{found.said}: {counted}."]
    if silent:
        notes.append(f"Skipped: {count(silent, 'row')} in which less than two responses were judged.")
    return replace(raw, frame=taken(frame, order), places=place[order]).with_notes(*notes)


def _compared(raw: RawTable) -> _Compared | None:
    ranking = _ranking_column(raw.frame)
    if ranking != "label" and {"label", "preference"} & set(raw.frame):
        return None
    by_suffix = _response_columns(raw)
    if ranking is None:
        return _of_columns(raw, by_suffix) if by_suffix else None
    responses, used = {name: raw.frame[column] for name, column in by_suffix.items()}, [*by_suffix.values()]
    if len(responses) < 2:
        found = _listed_responses(raw)
        if found is None:
            return None
        responses, column = found
        used = [column]
    if ranking == "label" and len(responses) < 3:
        return None  # whose words are read elsewhere
    cells = enumerate(raw.frame[ranking])
    try:
        worth = np.array(
            [_worth(raw, row, ranking, cell, list(responses)) for row, cell in cells], dtype=float
        )
    except DataError:
        if ranking == "label":
            return None  # labels that are lists of something else
        raise
    missing = np.column_stack([texts.isna() for texts in responses.values()])
    said = (
        f'Rankings in "{raw.renamed.get(ranking, ranking)}", the best first, were read as votes between every two '
        "responses"
    )
    return _Compared(responses, np.where(missing, np.nan, worth), said, (*used, ranking))


def _ranking_column(frame: pd.DataFrame) -> str | None:
    """The column that holds rankings: lists or objects, or names parted by `>`."""
    names = {visible(str(name)).casefold(): str(name) for name in frame.columns}
    for name in _RANKINGS:
        if name in names:
            cells = frame[names[name]].dropna().head(50)
            if len(cells) and all(_looks_ranked(cell) for cell in cells):
                return names[name]
    return None


def _looks_ranked(cell: object) -> bool:
    if isinstance(cell, str):
        return ">" in cell.strip(">") or isinstance(parsed(cell), list | dict)
    return isinstance(cell, list | tuple | np.ndarray | Mapping)


def _response_columns(raw: RawTable) -> dict[str, str]:
    """What a response is called, its letter or number → its column; empty unless there are two or more."""
    names = [str(name) for name in raw.frame.columns]
    found: dict[str, str] = {}
    for name in names:
        written = visible(raw.renamed.get(name, name))
        match = _RESPONSE.fullmatch(written) or _RESPONSE.fullmatch(name)
        if match:
            found.setdefault(match[1].lower(), name)
    return found if len(found) > 1 else {}


def _of_columns(raw: RawTable, by_suffix: Mapping[str, str]) -> _Compared | None:
    """Scores or ranks in a column for each response."""
    for pattern, sign, word in ((_SCORE, 1, "score"), (_RANK, -1, "rank")):
        columns: dict[str, str] = {}
        for name in map(str, raw.frame.columns):
            if (match := pattern.fullmatch(visible(name))) and match[1].lower() in by_suffix:
                columns.setdefault(match[1].lower(), name)
        if len(columns) == len(by_suffix):
            worth = sign * np.column_stack([_numbers(raw, columns[suffix]) for suffix in by_suffix])
            which = "higher" if sign > 0 else "lower"
            listed = ", ".join(f'"{columns[suffix]}"' for suffix in by_suffix)
            said = f"The {word}s in {listed} were read as votes, each for the response with the {which} one"
            responses = {suffix: raw.frame[name] for suffix, name in by_suffix.items()}
            own = (*by_suffix.values(), *columns.values()) if len(by_suffix) > 2 else ()
            return _Compared(responses, worth, said, own)
    return None


def _numbers(raw: RawTable, column: str) -> np.ndarray:
    """A column of scores as numbers [R], NaN where nothing is given.

    Raises:
        DataError: naming the first that is none.
    """
    values = raw.frame[column]
    written = values.astype("str").str.strip()
    if raw.decimal_comma:
        written = written.str.replace(",", ".", regex=False)
    none = values.isna() | written.isin(["", *ABSENT])
    numbers = pd.to_numeric(written.mask(none), errors="coerce")
    odd = np.flatnonzero(numbers.isna() & ~none)
    if len(odd):
        raise DataError(
            f'"{values.iloc[odd[0]]}" is no number, and the scores of both sides say which response is better.',
            where=raw.where(int(odd[0]), column),
            fix="Correct it, or leave the cell empty; or name a column of votes: --columns label=NAME.",
        )
    return numbers.to_numpy(float)


def _listed_responses(raw: RawTable) -> tuple[dict[str, pd.Series], str] | None:
    """Responses from a column of lists or of objects, name → R texts, and that column."""
    names = {visible(str(name)).casefold(): str(name) for name in raw.frame.columns}
    column = next((names[name] for name in _LISTS if name in names), None)
    if column is None:
        return None
    cells = [_named_texts(cell) for cell in raw.frame[column]]
    if any(cell is None for cell in cells):
        return None
    called = list(dict.fromkeys(name for cell in cells for name in cell or ()))
    if len(called) < 2:
        return None
    texts = {name: pd.Series([(cell or {}).get(name) for cell in cells], dtype="str") for name in called}
    return texts, column


def _named_texts(cell: object) -> dict[str, str] | None:
    found = parsed(cell) if isinstance(cell, str) else unwrapped(cell)
    if isinstance(found, list) and len(found) <= len(ascii_lowercase):
        found = dict(zip(ascii_lowercase, found, strict=False))
    if not isinstance(found, dict):
        return None
    given = {str(name): text for name, text in found.items() if not is_missing(text)}  # Parquet has all names
    return given if all(isinstance(text, str) for text in given.values()) else None


def _worth(raw: RawTable, row: int, column: str, cell: object, names: Sequence[str]) -> list[float]:
    """How good each response is by one ranking [K]: the negative of its place, NaN where it is not ranked.

    Raises:
        DataError: it names something that is no response, or one twice, or numbers that may mean two things.
    """
    found = _steps(cell)
    sure = isinstance(found, dict) or (isinstance(cell, str) and ">" in cell)
    by_name = {name.casefold(): number for number, name in enumerate(names)}
    worth = [float("nan")] * len(names)
    if isinstance(found, dict):
        ranks = {name: rank for name, rank in found.items() if not is_missing(rank)}
        found = [[name for name in ranks if ranks[name] == rank] for rank in sorted(set(ranks.values()))]
    for place, step in enumerate(found):
        for one in step:
            bare = _RESPONSE.fullmatch(visible(str(one)))
            number = by_name.get((bare[1] if bare else visible(str(one))).casefold())
            if not sure and str(one).isdecimal():
                number = None  # the second response, or that one is the second best?
            if number is None or not np.isnan(worth[number]):
                raise _no_ranking(raw, row, column, one, names, twice=number is not None)
            worth[number] = -float(place)
    return worth


def _no_ranking(
    raw: RawTable, row: int, column: str, one: object, names: Sequence[str], *, twice: bool
) -> DataError:
    listed = ", ".join(names)
    what = f'the ranking names "{one}" twice.' if twice else f'"{one}" names no response; they are {listed}.'
    fix = "Write the names of the responses, the best first: " + '["' + '", "'.join(reversed(names)) + '"].'
    if isinstance(one, int | float) or str(one).isdecimal():
        what = f"the ranking holds the number {one}: a response, or the rank of one? Responses are {listed}."
    return DataError(what, where=raw.where(row, column), fix=fix)


def _steps(cell: object) -> list[list[object]] | dict[str, float]:
    """A ranking as its steps from the best down, each with the responses that share it, or as name → rank."""
    if isinstance(cell, str) and ">" in cell:
        return [re.split(r"\s*=\s*", step.strip()) for step in re.split(r">+", cell)]
    found = parsed(cell) if isinstance(cell, str) else unwrapped(cell)
    if isinstance(found, dict) and all(
        is_missing(rank) or (isinstance(rank, int | float) and not isinstance(rank, bool))
        for rank in found.values()
    ):
        return found
    if isinstance(found, list):
        return [step if isinstance(step, list) else [step] for step in found]
    return [] if is_missing(cell) else [[cell]]
