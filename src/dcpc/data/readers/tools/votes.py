"""Votes between two chats, as of MT-Bench and Chatbot Arena: `conversation_a`, `conversation_b`, `winner`, `judge`.

The turns with which both chats begin are the prompt. Where `turn` says that only the first turns were judged, what
came later is left out. An item is a question, two models and a turn; without these, two chats.

OpenAI's comparisons are votes, too: of summaries (`info`, two `summaries`, `choice`, `worker`), and of answers that
WebGPT gave (`question`, `answer_0`, `answer_1` and their scores).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dcpc.data.raw import RawTable
from dcpc.data.readers.chats import as_turns, split_chats, text_of_turns
from dcpc.data.readers.formats import Peek, record_format
from dcpc.data.readers.records import Records
from dcpc.data.readers.rows import Rows, attributes

_CHATS = ("conversation_a", "conversation_b")
_WINNER = ("winner", "preference", "label", "vote")
_JUDGE = ("judge", "annotator_id", "annotator", "user", "user_id", "evaluator", "worker")
_SUMMARIES = ("info", "summaries", "choice")
_ANSWERS = ("question", "answer_0", "answer_1", "score_0", "score_1")


def read_votes(records: Records, source: str, columns: Mapping[str, str]) -> RawTable:
    """Votes; `columns` may name the `label` and the `annotator_id`."""
    rows = Rows(source, records.unit)
    for place, record in records.entries:
        found = _compared(record, rows, place)
        item, said = (_item(record, rows, place), record) if found is None else found
        rows.record(place, lambda item=item: item, said)  # type: ignore[misc]
        names = (columns.get("label"), *_WINNER)
        winner = next((said[name] for name in names if name is not None and name in said), None)
        judges = (columns.get("annotator_id"), *_JUDGE)
        judge = next((said[name] for name in judges if name is not None and name in said), None)
        rows.add(place, item, judge, winner, said.get("tstamp"))
    return rows.table()


def _item(record: Mapping[str, Any], rows: Rows, place: int) -> dict[str, Any]:
    first, second = (as_turns(record.get(name)) for name in _CHATS)
    if first is None or second is None:
        raise rows.error(
            place,
            "a vote needs two chats, `conversation_a` and `conversation_b`, each a list of {role, content}.",
            "Keep one format per file.",
        )
    turn = record.get("turn")
    if isinstance(turn, int) and turn > 0:
        first, second = first[: 2 * turn], second[: 2 * turn]
    prompt, answer, other = split_chats(first, second)
    taken = (*_CHATS, *_WINNER, *_JUDGE, "tstamp")
    item = attributes(record, taken)
    item |= {"text": text_of_turns(prompt)} if prompt else {}
    item |= {"response_a": text_of_turns(answer), "response_b": text_of_turns(other)}
    told = [record.get(name) for name in ("question_id", "model_a", "model_b", "turn")]
    return item | ({"item_id": "/".join(map(str, told))} if None not in told[:3] else {})


Compared = tuple[dict[str, Any], Mapping[str, Any]]
"""Columns of an item, and the record with its vote under `winner`."""


def _compared(record: Mapping[str, Any], rows: Rows, place: int) -> Compared | None:
    """A comparison of OpenAI's; None for any other record."""
    if set(_SUMMARIES) <= record.keys():
        texts = [one.get("text") for one in record["summaries"] if isinstance(one, Mapping)]
        info = record["info"] if isinstance(record["info"], Mapping) else {}
        asked = next((info[name] for name in ("post", "article", "title") if info.get(name)), None)
        if len(texts) != 2 or not asked or record["choice"] not in (0, 1):
            raise rows.error(
                place,
                "a comparison of summaries needs the post, two summaries with a text, and a choice of 0 or 1.",
                "Correct the record, or leave it out.",
            )
        return _pair(record, _SUMMARIES, (asked, *texts), "ab"[record["choice"]])
    if set(_ANSWERS) <= record.keys():
        question = record["question"]
        asked = question.get("full_text") if isinstance(question, Mapping) else question
        ahead = float(record["score_0"]) - float(record["score_1"])
        vote = "tie" if ahead == 0 else "a" if ahead > 0 else "b"
        return _pair(record, _ANSWERS, (asked, record["answer_0"], record["answer_1"]), vote)
    return None


def _pair(record: Mapping[str, Any], own: tuple[str, ...], texts: tuple[Any, ...], vote: str) -> Compared:
    columns = dict(zip(("text", "response_a", "response_b"), texts, strict=True))
    return attributes(record, (*own, *_WINNER, *_JUDGE)) | columns, {**record, "winner": vote}


def _recognises(peek: Peek) -> bool:
    names = peek.record.keys()
    openai = set(_SUMMARIES) <= names or set(_ANSWERS) <= names
    chats = all(as_turns(peek.record.get(name)) for name in _CHATS)
    return peek.kind in ("json", "parquet") and (openai or chats)


FORMAT = record_format(read_votes, _recognises)
