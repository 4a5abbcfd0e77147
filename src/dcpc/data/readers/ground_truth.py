"""Amazon SageMaker Ground Truth with the answers of all workers, `annotationsFromAllWorkers`.

Read are the output manifest of a custom job (one JSON object per line: `source`, and the job's name with the
answers), the consolidation response (`consolidatedAnnotation`), and the consolidation request (`dataObject`,
`annotations`). Each worker's `annotationData.content` is JSON in a string: form field → answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dcpc.data.raw import RawTable
from dcpc.data.readers.records import read_records
from dcpc.data.readers.rows import Rows, attributes, choose_question, choose_text_fields
from dcpc.data.readers.text import parse_json


def read_ground_truth(source: str, columns: Mapping[str, str]) -> RawTable:
    """Worker answers of a Ground Truth job."""
    records = read_records(Path(source), source)
    rows = Rows(source, records.unit)
    answers: list[tuple[int, dict[str, Any], object, dict[str, Any]]] = []
    for place, record in records.entries:
        given = worker_annotations(record)
        if given is None:
            raise rows.error(place, "there is no `annotationsFromAllWorkers`.", "Keep one format per file.")
        if not given:
            rows.skip("record without answers")
        item = _item(record, columns, rows, place)
        answers += [(place, item, worker.get("workerId"), _content(worker, rows, place)) for worker in given]
    question = choose_question((name for *_, content in answers for name in content), columns, rows)
    for place, item, worker, content in answers:
        rows.add(place, item, worker, _label(content.get(question)) if question else None)
    return rows.table()


def worker_annotations(record: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The answers of all workers, wherever a record holds them; None if it holds none."""
    if isinstance(record.get("annotationsFromAllWorkers"), list):
        return record["annotationsFromAllWorkers"]
    if "dataObject" in record and isinstance(record.get("annotations"), list):
        return record["annotations"]
    for value in record.values():
        if isinstance(value, dict) and (found := worker_annotations(value)) is not None:
            return found
    return None


def _item(record: Mapping[str, Any], columns: Mapping[str, str], rows: Rows, place: int) -> dict[str, Any]:
    fields: dict[str, Any] = {
        name: value for name, value in record.items() if not isinstance(value, dict | list)
    }
    if "dataObject" in record:
        content = record["dataObject"]
        fields["text"] = content.get("content") if isinstance(content, dict) else content
    if "text" not in columns and "source" in fields:
        columns = {**columns, "text": "source"}
    chosen = choose_text_fields(fields, columns, rows, place)
    if chosen["text"] == "source-ref" and "text" not in columns:
        raise rows.error(
            place,
            "the texts are not in the manifest, only where they are stored (`source-ref`).",
            "Write each text into the manifest as `source`, or name another field with --columns text=NAME.",
        )
    identity = record.get("datasetObjectId", record.get("id", place))
    item = {ours: fields[theirs] for ours, theirs in chosen.items()}
    return {**item, **attributes(fields, (*chosen.values(), "datasetObjectId", "id")), "item_id": identity}


def _content(worker: Mapping[str, Any], rows: Rows, place: int) -> dict[str, Any]:
    data = worker.get("annotationData")
    content = data.get("content") if isinstance(data, dict) else None
    value = (
        parse_json(content, f"{rows.source}, {rows.unit} {place}") if isinstance(content, str) else content
    )
    if not isinstance(value, dict):
        raise rows.error(place, "a worker's answer has no `annotationData.content`.", "Export the job again.")
    return value


def _label(answer: object) -> object:
    """The label in one form field: a plain value, a classifier's `label`, or the radio button that is on."""
    if isinstance(answer, dict):
        if "label" in answer:
            return answer["label"]
        if "labels" in answer:
            return answer["labels"]
        if answer and all(isinstance(value, bool) for value in answer.values()):
            return [name for name, value in answer.items() if value]
    return answer
