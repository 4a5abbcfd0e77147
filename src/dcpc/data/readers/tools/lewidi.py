"""Data sets of the Learning With Disagreements shared tasks (LeWiDi), JSON: item id → entry.

2021 and 2023: `annotations` and `annotators` are lists, joined by commas in 2023. 2025: `annotations` maps annotator
→ label, and `text` may hold two parts (context and response, post and reply, two questions): text and text pair.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dcpc.data.raw import RawTable
from dcpc.data.readers.formats import Format, Peek
from dcpc.data.readers.records import read_records
from dcpc.data.readers.rows import Rows, attributes

_OWN = ("number of annotations", "number of annotators", "annotation task", "soft_label", "hard_label")


def read_lewidi(source: str, columns: Mapping[str, str]) -> RawTable:
    """LeWiDi entries; `columns` may name another `text`."""
    records = read_records(Path(source), source)
    rows = Rows(source, records.unit)
    text = columns.get("text", "text")
    for place, entry in records.entries:
        if text not in entry or "annotations" not in entry:
            raise rows.error(
                place,
                f"this is not a LeWiDi entry (no `{text}` and `annotations`).",
                "Keep one format per file.",
            )
        identity = records.keys[place - 1] if records.keys else entry.get("id", place)
        item = {**_texts(entry[text]), **attributes(entry, (*_OWN, "annotators", "annotations", text))}
        other = entry.get("other_info")
        item |= attributes(other) if isinstance(other, dict) else {}
        item |= {"split": entry["split"]} if entry.get("split") else {}
        item |= {"item_id": identity}
        rows.record(place, lambda item=item: item, entry)  # type: ignore[misc]
        judgements = list(_judgements(entry, rows, place))
        if not judgements:
            rows.skip("item without annotations")
        for annotator, label in judgements:
            rows.add(place, item, annotator, label)
    return rows.table()


def _texts(text: object) -> dict[str, object]:
    """Two named parts are a text and its pair; more are lines of one text."""
    if not isinstance(text, dict):
        return {"text": text}
    if len(text) == 2:
        first, second = text.values()
        return {"text": first, "text_pair": second}
    return {"text": "\n".join(f"{name}: {part}" for name, part in text.items() if part)}


def _judgements(entry: Mapping[str, Any], rows: Rows, place: int) -> Iterator[tuple[object, object]]:
    given = entry["annotations"]
    if isinstance(given, dict):
        for annotator, label in given.items():
            # VariErrNLI gives several labels of one annotator as "a,b".
            several = isinstance(label, str) and "," in label
            yield annotator, [part.strip() for part in label.split(",")] if several else label
        return
    labels = _split(given)
    annotators = _split(entry.get("annotators")) or [None] * len(labels)
    if labels and len(labels) != len(annotators):
        raise rows.error(
            place,
            f"{len(labels)} annotations by {len(annotators)} annotators.",
            "Correct the entry or its source.",
        )
    yield from zip(annotators, labels, strict=False)


def _split(joined: object) -> list[Any]:
    if isinstance(joined, list):
        return joined
    return [part.strip() for part in str(joined).split(",")] if joined not in (None, "") else []


def _recognises(peek: Peek) -> bool:
    keys, given = peek.record.keys(), peek.record.get("annotations")
    if isinstance(given, list):
        named = bool(keys & {"soft_label", "hard_label", "number of annotations"})
        return peek.kind == "json" and named and not any(isinstance(one, dict) for one in given)
    return peek.kind == "json" and isinstance(given, dict | str) and bool(keys & {"annotators", "soft_label"})


FORMAT = Format(read_lewidi, _recognises)
