"""What messages propose: columns that exist and whose content fits, and options as a shell takes them."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from dcpc.data.annotations import ITEM_COLUMNS
from dcpc.data.equality import NUMBER, plain_number
from dcpc.data.scales import ABSENT
from dcpc.data.shared_labels import columns_with_shared_labels
from dcpc.data.structure import joined_text, plain

OTHER_NAMES = {
    "text": (
        "text", "comment", "sentence", "tweet", "content", "body", "document", "review", "premise", "prompt",
        "question", "post", "message", "utterance", "context", "sentence1",
    ),
    "label": (
        "label", "rating", "annotation", "class", "category", "score", "answer", "target", "y", "gold", "value",
        "winner", "vote", "judgment", "judgement",
    ),
    "annotator_id": (
        "annotator_id", "annotator", "worker", "worker_id", "workerid", "_worker_id", "rater", "rater_id", "user",
        "user_id", "username", "coder", "judge", "assignment:worker_id", "annotatorid", "responseid", "labeler",
        "email", "email address", "your name",
    ),
    "item_id": (
        "item_id", "id", "task", "item", "idx", "text_id", "comment_id", "hitid", "_unit_id", "input.id", "uid",
    ),
    "text_pair": ("text_pair", "hypothesis", "sentence2", "response", "reply", "completion", "output", "answer"),
    "response_a": ("response_a", "response1", "answer_a", "completion_a", "chosen"),
    "response_b": ("response_b", "response2", "answer_b", "completion_b", "rejected"),
}  # fmt: skip
"""Our column name → what others often call it."""

PROMPTS = ("prompt", "question", "context", "instruction", "query", "premise", "sentence1")
"""Names of texts that are judged together with what answers or follows them."""

_WORDS = {
    "annotator_id": {"annotator", "worker", "rater", "coder", "judge", "labeler", "user"},
    "label": {"label", "rating", "sentiment", "answer", "result", "overall"},
    "text": {"text", "comment", "sentence", "tweet"},
}
_OURS = ("item_id", *ITEM_COLUMNS, "annotator_id", "label", "split", "time")
_SAMPLE = 2_000
_SHORT = 10
_MOST_CLASSES = 101


def columns_option(columns: Mapping[str, str]) -> str:
    """`--columns text=comment,label='How rude, or harsh?'`, quoted for `parse_columns` and for a shell."""
    parts = [f"{ours}={shlex.quote(_quoted(theirs))}" for ours, theirs in columns.items()]
    return f"--columns {','.join(parts)}"


def _quoted(name: str) -> str:
    if not re.search(r'[,"\\]|^\s|\s$', name):
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def labels_option(labels: Sequence[str], option: str = "--labels") -> str:
    """`--labels low,middle,high`, quoted for `parse_list` and for a shell."""
    words = []
    for label in labels:
        escaped = label.replace('"', '""')
        words.append(f'"{escaped}"' if re.search(r'[,"\n\r]|^\s|\s$', label) else label)
    return f"{option} {shlex.quote(','.join(words))}"


def likely_column(frame: pd.DataFrame, name: str, taken: Collection[str] = ()) -> str | None:
    """The column that most likely means ours of this name, by its name and by what stands in it.

    Args:
        frame: the table, under the file's own names.
        name: ours.
        taken: columns that mean something else.

    Returns:
        A column of the frame; None where none fits.
    """
    ranked = candidates(frame, name, taken)
    if ranked:
        return ranked[0]
    return _by_content(frame, name, taken)


def _by_content(frame: pd.DataFrame, name: str, taken: Collection[str]) -> str | None:
    """The only column of few values where labels are missing, or that of the longest texts where these are."""
    if name == "label":
        labels = possible_labels(frame, taken)
        return labels[0] if len(labels) == 1 else None
    head = frame[[column for column in frame.columns if column not in (*_OURS, *taken)]].head(_SAMPLE)
    fitting = [column for column in head.columns if isinstance(column, str) and _fits(head[column], name)]
    if name == "text":
        texts = {column: head[column].dropna().astype(str).str.len().mean() for column in fitting}
        longest = max(texts, key=lambda column: texts[column], default=None)
        return longest if longest is not None and texts[longest] > _SHORT else None
    return None


def possible_labels(frame: pd.DataFrame, taken: Collection[str] = ()) -> list[str]:
    """Columns of few values that are no ids and no texts: each may hold labels."""
    head = frame[[column for column in frame.columns if column not in (*_OURS, *taken)]].head(_SAMPLE)
    return [
        column
        for column in head.columns
        if isinstance(column, str)
        and _fits(head[column], "label")
        and not _likeness(column, "annotator_id")
        and not _likeness(column, "item_id")
        and not _fits_text(head[column])
    ]


def _fits_text(values: pd.Series) -> bool:
    return _fits(values, "text") and values.dropna().astype(str).str.len().mean() > 3 * _SHORT


def candidates(frame: pd.DataFrame, name: str, taken: Collection[str] = ()) -> list[str]:
    """All columns that may mean ours of this name, the likeliest first."""
    free = [column for column in frame.columns if isinstance(column, str) and column not in (*_OURS, *taken)]
    head = frame.head(_SAMPLE)
    scored = [(_likeness(column, name), column) for column in free]
    fitting = [(score, column) for score, column in scored if score > 0 and _fits(head[column], name)]
    return [column for _, column in sorted(fitting, key=lambda pair: -pair[0])]


_OF_A_PAIR = re.compile(
    r"(?P<what>.*(?:response|answer|output|completion|reply|ref|candidate|summary|generation|text|message|option))"
    r"[ _.-]?(?P<side>a|b|0|1|2|left|right|first|second|one|two)",
    re.I,
)
_SIDES = ({"a", "b"}, {"0", "1"}, {"1", "2"}, {"left", "right"}, {"first", "second"}, {"one", "two"})


def pair_columns(frame: pd.DataFrame) -> tuple[str, str] | None:
    """The two columns that hold responses to compare, as `answer_a` and `answer_b`; None where there are not two."""
    found: dict[str, dict[str, str]] = {}
    for name in (name for name in frame.columns if isinstance(name, str)):
        match = _OF_A_PAIR.fullmatch(name.strip())
        if match is not None and _fits(frame[name].head(_SAMPLE), "text"):
            found.setdefault(match["what"].casefold(), {})[match["side"].casefold()] = name
    pairs = [sides for sides in found.values() if set(sides) in _SIDES]
    if len(pairs) != 1:
        return None
    first, second = (pairs[0][side] for side in sorted(pairs[0]))
    return first, second


def chat_column(frame: pd.DataFrame) -> str | None:
    """The only column that holds chats, lists of turns."""
    found = [name for name in frame.columns if joined_text(plain(next(iter(frame[name].dropna()), None)))]
    return str(found[0]) if len(found) == 1 else None


def list_column(frame: pd.DataFrame) -> str | None:
    """The only column that holds lists of labels."""
    found = []
    for name in frame.columns:
        first = plain(next(iter(frame[name].dropna()), None))
        if not isinstance(first, list) or not first or str(name) in ITEM_COLUMNS:
            continue
        if not any(isinstance(each, list | dict) for each in first):
            found.append(str(name))
    return found[0] if len(found) == 1 else None


def has_texts(frame: pd.DataFrame) -> bool:
    """Whether any column holds texts of some length."""
    head = frame.head(_SAMPLE)
    return any(
        _fits(head[name], "text") and head[name].dropna().astype(str).str.len().mean() > _SHORT
        for name in head
    )


def nearest(name: str, found: Sequence[str]) -> str | None:
    """The name among `found` that most likely means `name`, where nothing but the names is known."""
    scored = [(_likeness(column, name), column) for column in found]
    best = max(scored, key=lambda pair: pair[0], default=(0.0, ""))
    return best[1] if best[0] > 0 else None


def _likeness(column: str, name: str) -> float:
    """How much a column's name is like one of those that others use for ours, 0 to 3."""
    plain = column.strip().casefold()
    others = OTHER_NAMES.get(name, (name,))
    if plain == name:
        return 3.0
    if plain in others:
        return 2.0 + 0.5 * (1 - others.index(plain) / len(others))
    last = re.split(r"[.:/]", plain)[-1]
    if last != plain and last in (name, *others):  # Input.text, OUTPUT:label
        return 1.8 - (0.5 if plain.startswith(("hint", "golden", "gold")) else 0)
    words = set() if re.search(r"\d", plain) else set(re.split(r"[^a-z]+", plain))
    if words & _WORDS.get(name, set()) and not plain.startswith(("hint", "golden", "gold")):
        # `rater_id` is an annotator, `rater_age` is about one.
        about = words - _WORDS[name] - {"id", "name", ""}
        return 1.0 if not about else 0.4 if name != "annotator_id" else 0.0
    close = difflib.SequenceMatcher(None, plain, name).ratio()
    return close / 2 if close >= 0.6 else 0.0


def _fits(values: pd.Series, name: str) -> bool:
    """Whether what stands in a column contradicts its meaning ours of this name."""
    given = values.dropna()
    if given.empty:
        return False
    if any(isinstance(value, list | dict) for value in given.head(20)):
        return False  # what the reader makes of them is not sure enough to propose
    text = given.astype(str).str.strip()
    distinct = text.nunique()
    if name in ITEM_COLUMNS:
        words = text.str.contains(r"[^\W\d]") & ~text.str.lower().isin(["true", "false"])
        return bool(words.mean() > 0.5)
    if name == "label":
        return 1 < distinct <= max(_MOST_CLASSES, len(text) / 2) and (
            distinct < len(text) or len(text) < _SHORT
        )
    return distinct > 1


def annotators_option(frame: pd.DataFrame, shared: Sequence[str] | None = None) -> str:
    """How to name the annotators' columns of a wide table: those that seem to be it, or a pattern to fill in."""
    names = shared if shared is not None else annotators_by_content(frame)
    return columns_option({"annotators": "|".join(names or ["NAME_1", "NAME_2"])})


def annotators_by_content(frame: pd.DataFrame) -> list[str]:
    """Columns that look like those of several annotators; none where they look like one column for each label.

    A table that has a column of annotators beside, or columns of nothing but 0 and 1, has labels there.
    """
    if likely_annotators(frame):
        return []
    likely_label = [
        name for name in frame.columns if str(name).strip().casefold() in OTHER_NAMES["label"][1:]
    ]
    platform = [name for name in frame.columns if str(name).startswith("_") or ":" in str(name)]
    merged = [name for name in frame.columns if str(name).strip().casefold() in _OF_ALL]
    found = columns_with_shared_labels(frame, [*_OURS, *likely_label, *platform, *merged])
    values = {text for name in found for text in frame[name].dropna().astype(str).str.strip().unique()}
    switches = {"0", "1"}, {"0.0", "1.0"}, {"0", "1", "0.0", "1.0"}, {"true", "false"}
    return [] if {value.lower() for value in values} in switches and len(found) > _MANY_SWITCHES else found


_MANY_SWITCHES = 6
_OF_ALL = {
    "majority", "majority_vote", "majority vote", "consensus", "gold", "final", "final_label", "final label",
    "adjudicated", "aggregated", "ground_truth", "ground truth", "mode", "mean", "average", "median", "agreed",
}  # fmt: skip
"""Columns with what several annotators' labels come to, which are nobody's own."""


def columns_of_items(frame: pd.DataFrame) -> list[str]:
    """Columns of labels that several share, where each row is a person: none is left out that has no other values."""
    free = frame[[name for name in frame.columns if isinstance(name, str) and name not in _OURS]]
    # A column of numbers with a gap holds 1.0 in Parquet and JSON, and one without it 1.
    free = free.map(lambda value: _one_spelling(str(value)), na_action="ignore")
    values = {name: _distinct(free[name]) for name in free}
    shared = set().union(*(values[name] for name in columns_with_shared_labels(free)))
    return [str(name) for name, found in values.items() if found and found <= shared]


def people_option(frame: pd.DataFrame) -> str | None:
    """`--format people …` where the columns' names are texts, and no column holds any; else None."""
    items = columns_of_items(frame)
    others = [name for name in frame.columns if name not in items]
    sentences = sum(len(name.split()) >= _WORDS_OF_A_TEXT for name in items)
    if sentences < 2 or 2 * sentences < len(items):
        return None
    if candidates(frame, "text", items) or any(_fits_text(frame[name].head(_SAMPLE)) for name in others):
        return None
    who = [name for name in candidates(frame, "annotator_id", items) if frame[name].is_unique]
    named = f" {columns_option({'annotator_id': who[0]})}" if who else ""
    return f"--format people{named}"


def _one_spelling(text: str) -> str:
    return plain_number(text) if NUMBER.fullmatch(text) else text


def _distinct(values: pd.Series) -> set[str]:
    return {text for text in values.dropna().astype("str").unique() if text.strip() not in ("", *ABSENT)}


_WORDS_OF_A_TEXT = 3


def one_hot_columns(frame: pd.DataFrame) -> list[str]:
    """Columns of nothing but 0 and 1 (or true and false) beside a column of annotators: one for each label.

    Returns:
        Names of three columns or more, or none.
    """
    found = switch_columns(frame) if likely_annotators(frame) else []
    return found if len(found) > 2 else []


def switch_columns(frame: pd.DataFrame) -> list[str]:
    """Columns of nothing but 0 and 1, or of nothing but true and false: the more numerous kind.

    A label each, or an annotator each: what they hold does not tell.
    """
    ids = {*likely_annotators(frame), *candidates(frame, "item_id")}
    head = frame.head(_SAMPLE)
    free = [name for name in head.columns if isinstance(name, str) and name not in (*_OURS, *ids)]
    found = {
        name: values
        for name in free
        if (values := set(head[name].dropna().astype(str).str.strip().str.casefold()))
        and not name.startswith("_")
    }
    groups = [
        [name for name, values in found.items() if values <= switches]
        for switches in ({"0", "1", "0.0", "1.0"}, {"true", "false"})
    ]
    return max(groups, key=len)


def likely_annotators(frame: pd.DataFrame) -> list[str]:
    """Columns that look like annotators' ids, the likeliest first; several rows share one."""
    if "annotator_id" in frame:
        return ["annotator_id"]
    return [
        name
        for name in candidates(frame, "annotator_id")
        if frame[name].dropna().astype(str).nunique() < frame[name].count() or len(frame) < _SHORT
    ]
