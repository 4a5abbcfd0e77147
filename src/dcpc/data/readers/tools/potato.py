"""Potato: a folder per annotator with `annotated_instances.jsonl`, or one such file.

`label_annotations` maps a scheme to its answers: chosen label → "true", or a Likert scale's `scale_3` → "3". The
annotator is the folder's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from dcpc.data.raw import RawTable
from dcpc.data.readers.formats import Format, Peek
from dcpc.data.readers.records import read_records
from dcpc.data.readers.rows import Rows, attributes, choose_question
from dcpc.errors import DataError

FILE = "annotated_instances.jsonl"


def read_potato(source: str, columns: Mapping[str, str]) -> RawTable:
    """Potato's `annotation_output` folder, or one annotator's file.

    Raises:
        DataError: if the folder has no such file, or an instance is malformed.
    """
    path = Path(source)
    files = sorted(path.rglob(FILE)) if path.is_dir() else [path]
    if not files:
        raise DataError(
            f"the folder has no {FILE}.", where=source, fix="Name Potato's annotation_output folder."
        )
    rows = Rows(source, "instance of all files")
    found: list[tuple[str, dict[str, Any], Rows, int]] = []
    for file in files:
        own = Rows(str(file), "line")
        for place, instance in read_records(file, str(file)).entries:
            if not isinstance(instance.get("label_annotations"), dict):
                raise own.error(
                    place,
                    "this is not an instance as Potato writes it (no `label_annotations`).",
                    "Keep one format per folder.",
                )
            found.append((file.parent.name, instance, own, place))
    schemes = (name for _, instance, *_ in found for name in instance["label_annotations"])
    scheme = choose_question(schemes, columns, rows)
    for number, (annotator, instance, own, place) in enumerate(found, start=1):
        item = _item(instance)
        rows.record(number, lambda item=item: item, instance)  # type: ignore[misc]
        given = instance["label_annotations"].get(scheme) if scheme else None
        rows.add(number, item, annotator, _label(given, own, place))
    return rows.table()


def _item(instance: Mapping[str, Any]) -> dict[str, Any]:
    text = instance.get("displayed_text", instance.get("text"))
    taken = ("id", "displayed_text", "text")
    return {"item_id": instance.get("id"), "text": text, **attributes(instance, taken)}


def _label(given: object, rows: Rows, place: int) -> object:
    """The chosen labels of a scheme; of a Likert scale its number."""
    if given is None or isinstance(given, str):
        return given
    if not isinstance(given, dict):
        raise rows.error(place, "an answer is not as Potato writes it.", "Export the annotations again.")
    chosen = {str(name): value for name, value in given.items() if value not in (None, "", False, "false")}
    scale = {name for name in chosen if name.startswith("scale_")}
    return [str(chosen[name]) if name in scale else name for name in chosen]


def _recognises(peek: Peek) -> bool:
    if peek.kind == "folder":
        return any(PurePosixPath(name).name == FILE for name in peek.members)
    return peek.kind == "json" and "label_annotations" in peek.record


FORMAT = Format(read_potato, _recognises)
