"""Records that each hold the judgements of one item: a list of objects, or lists side by side.

```
{"text": …, "annotators": [{"annotator_id": 1, "label": "normal"}, …]}       HateXplain; doccano before 1.0
{"context": …, "response1": …, "response2": …, "individual_preference": [{"score": -2}, …]}      HelpSteer3
{"prompt": …, "response_1": …, "response_2": …, "all_preferences_unprocessed": [{"strength": 1}, …]}    HelpSteer2
{"post_tokens": […], "annotators": {"annotator_id": [1, 2], "label": [0, 1]}}     HateXplain on the Hub
{"text": …, "annotators": ["a", "b"], "labels": [0, 1]}
```
Lists of tokens are joined with spaces, chats are written out. `columns` names what is not told: the item's own
fields, and `label` and `annotator_id` within the list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from dcpc.data.advice import OTHER_NAMES
from dcpc.data.raw import RawTable
from dcpc.data.readers.chats import chat_text, is_chat
from dcpc.data.readers.formats import Peek, record_format
from dcpc.data.readers.records import Records
from dcpc.data.readers.rows import Rows, attributes, texts_of
from dcpc.data.validation import listed

_LABEL = (
    "label", "labels", "rating", "score", "vote", "annotation", "answer", "class", "category", "choice", "preference",
    "strength", "winner", "value",
)  # fmt: skip
_WHO = ("annotator_id", *OTHER_NAMES["annotator_id"], "judge", "evaluator", "labeler", "created_by", "by")
_LABEL_LISTS = ("labels", "annotations", "ratings", "scores", "votes", "answers", "label")
_WHO_LISTS = (
    "annotators", "annotator_ids", "workers", "worker_ids", "raters", "rater_ids", "users", "user_ids", "judges",
    "annotator_id", "worker_id", "rater_id", "annotator", "worker", "rater",
)  # fmt: skip
_IDENTITY = ("id", "annotator_id", "worker_id", "user_id", "username", "email", "name")
_ITEM = ("item_id", "id", "post_id", "uid", "example_id", "comment_id", "text_id")
_PAIRS = (
    ("response1", "response2"), ("response_1", "response_2"), ("completion_a", "completion_b"),
    ("answer_a", "answer_b"), ("answer1", "answer2"), ("output_1", "output_2"),
)  # fmt: skip
_EVERYBODY = ("all_", "individual")
"""Begins the name of a list that has every judgement, where another has a choice of them (HelpSteer2)."""
_PROMPTS = ("prompt", "context", "instruction", "question", "query", "input")

Judgement = Mapping[str, Any]


def read_nested_records(records: Records, source: str, columns: Mapping[str, str]) -> RawTable:
    """Records with the judgements of an item each.

    Raises:
        DataError: if a record has no list of judgements, or lists of unequal length.
    """
    rows = Rows(source, records.unit)
    for place, record in records.entries:
        key = records.keys[place - 1] if records.keys else None
        found = _judgements(record, columns, rows, place)
        if found is None:
            raise rows.error(
                place,
                f"there is no list of judgements; found: {listed(record)}.",
                "Keep one format per file; name the label within the list with --columns label=NAME.",
            )
        taken, judgements = found
        rows.record(
            place,
            partial(_item, record, taken, key, columns, rows, place),
            record,
        )
        if not judgements:
            rows.skip("record without judgements")
            continue
        item = _item(record, taken, key, columns, rows, place)
        for judgement in judgements:
            who, label = _name(judgement, columns, "annotator_id", _WHO), _label_name(judgement, columns)
            known = attributes(judgement, (who or "", label or ""))
            annotator = _identity(judgement[who]) if who else None
            rows.add(place, {**item, **known}, annotator, judgement[label] if label else None)
    return rows.table()


def _judgements(
    record: Mapping[str, Any], columns: Mapping[str, str], rows: Rows | None, place: int
) -> tuple[set[str], Sequence[Judgement]] | None:
    """The fields of a record that hold its judgements, and these; None if there are none.

    A list of objects with a label each comes first, then two lists side by side, then a list that is empty.
    """
    lists = {name: found for name, value in record.items() if (found := _listed(value)) is not None}
    for name, value in sorted(lists.items(), key=lambda each: not each[0].startswith(_EVERYBODY)):
        objects = bool(value) and all(isinstance(one, dict) for one in value) and not is_chat(value)
        if objects and all(_label_name(one, columns) for one in value):
            return {name}, value
    labels = next((name for name in (columns.get("label"), *_LABEL_LISTS) if name in lists), None)
    who = next((name for name in (columns.get("annotator_id"), *_WHO_LISTS) if name in lists), None)
    if labels is not None and who is not None and labels != who:
        if len(lists[labels]) != len(lists[who]):
            if rows is None:
                return None
            raise rows.error(
                place,
                f"{len(lists[labels])} labels in `{labels}` by {len(lists[who])} annotators in `{who}`.",
                "Correct the record or its source.",
            )
        side_by_side = zip(lists[who], lists[labels], strict=True)
        return {labels, who}, [{"annotator_id": name, "label": label} for name, label in side_by_side]
    empty = next((name for name in (*_WHO_LISTS, *_LABEL_LISTS) if lists.get(name) == []), None)
    return None if empty is None else ({empty}, [])


def _listed(value: object) -> list[Any] | None:
    """A list, also one of objects that Hugging Face stores as an object of lists; None for anything else."""
    if not isinstance(value, dict):
        return value if isinstance(value, list) else None
    columns = {name: each for name, each in value.items() if isinstance(each, list)}
    lengths = {len(each) for each in columns.values()}
    if len(columns) < 2 or len(columns) < len(value) or len(lengths) != 1:
        return None
    return [dict(zip(columns, each, strict=True)) for each in zip(*columns.values(), strict=True)]


def _name(judgement: Judgement, columns: Mapping[str, str], ours: str, others: Sequence[str]) -> str | None:
    named = columns.get(ours)
    if named is not None and named in judgement:
        return named
    return next((name for name in others if name in judgement), None)


def _identity(annotator: Any) -> Any:
    """The id of an annotator who is an object, `{"id": 7, "name": "anna"}`; anything else as it is."""
    if not isinstance(annotator, Mapping):
        return annotator
    return next((annotator[name] for name in _IDENTITY if annotator.get(name) is not None), annotator)


def _label_name(judgement: Judgement, columns: Mapping[str, str]) -> str | None:
    return _name(judgement, columns, "label", _LABEL)


def _item(
    record: Mapping[str, Any],
    taken: set[str],
    key: str | None,
    columns: Mapping[str, str],
    rows: Rows,
    place: int,
) -> dict[str, Any]:
    fields = {
        name: plain_text(value) for name, value in record.items() if name not in taken and name not in _ITEM
    }
    item, chosen = texts_of(fields, {**_usual_names(fields), **columns}, rows, place)
    item |= attributes(fields, tuple(chosen.values()))
    named = columns.get("item_id")
    identity = next((record[name] for name in (named, *_ITEM) if name is not None and name in record), key)
    return item | ({} if identity is None else {"item_id": identity})


def plain_text(value: Any) -> Any:
    """A chat, or a list of tokens as one text."""
    if isinstance(value, list) and value and all(isinstance(token, str) for token in value):
        return " ".join(value)
    return chat_text(value)


def _usual_names(fields: Mapping[str, Any]) -> dict[str, str]:
    """The prompt and the two responses under the names that data sets of preferences give them, or tokens' text."""
    pair = next((pair for pair in _PAIRS if set(pair) <= fields.keys()), None)
    if pair is not None:
        prompt = next(((("text", name),) for name in _PROMPTS if name in fields), ())
        return dict((*prompt, ("response_a", pair[0]), ("response_b", pair[1])))
    tokens = [name for name in fields if name.endswith("tokens")]
    return {"text": tokens[0]} if "text" not in fields and len(tokens) == 1 else {}


def _recognises(peek: Peek) -> bool:
    return peek.kind in ("json", "parquet") and any(_looks_nested(record) for record in peek.records)


def _looks_nested(record: Mapping[str, Any]) -> bool:
    if record.keys() & _OTHERS or any(name.endswith(".responses") for name in record):
        return False
    lists = (value for value in record.values() if isinstance(value, list))
    if any(isinstance(one, dict) and {"user_id", "value"} <= one.keys() for value in lists for one in value):
        return False  # Argilla 1, flattened
    found = _judgements(record, {}, None, 0)
    return found is not None and bool(found[1])


_OTHERS = {
    "data", "completions", "_input_hash", "fields", "data_row", "answers", "dataObject", "annotationsFromAllWorkers",
    "label_annotations", "conversation_a", "soft_label", "hard_label", "chosen", "annotation_agent",
}  # fmt: skip
"""Fields by which other formats are told."""

FORMAT = record_format(read_nested_records, _recognises)
