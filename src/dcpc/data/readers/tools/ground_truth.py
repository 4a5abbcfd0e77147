"""Amazon SageMaker Ground Truth: the answers of all workers, a job's output folder, or its output manifest.

Read are manifests with `annotationsFromAllWorkers` (one JSON object per line: `source`, and the job's name with the
answers), consolidation requests and responses (`dataObject`, `annotations`; `consolidatedAnnotation`), and the output
folder of a job (`annotations/worker-response/…/17/….json` are the answers to line 17 of
`manifests/output/output.manifest`, which has the texts). A manifest alone has the one label that the workers' answers
were merged into: it is read as labels of nobody, with a note. Each `annotationData.content` is JSON in a string: form
field → answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from dcpc.data.raw import RawTable
from dcpc.data.readers.formats import Format, Peek
from dcpc.data.readers.records import read_records
from dcpc.data.readers.rows import Rows, attributes, choose_question, texts_of
from dcpc.data.readers.text import parse_json
from dcpc.errors import DataError

_MANIFEST = "output.manifest"
_RESPONSES = "worker-response"

Answer = tuple[int, dict[str, Any], object, dict[str, Any], object]
"""Place, item, worker, form field → answer, time."""


def read_ground_truth(source: str, columns: Mapping[str, str]) -> RawTable:
    """Worker answers of a Ground Truth job, or the labels of its manifest."""
    path = Path(source)
    if path.is_dir():
        return _read_folder(path, source, columns)
    records = read_records(path, source)
    rows = Rows(source, records.unit)
    answers: list[Answer] = []
    for place, record in records.entries:
        if isinstance(record.get("answers"), list):
            raise _without_texts(f"{source}, {records.unit} {place}")
        rows.record(place, lambda r=record, p=place: _item(r, columns, rows, p), record)  # type: ignore[misc]
        given = worker_annotations(record)
        if given is None:
            answers.append(_consolidated(rows, place, record, columns))
            continue
        if not given:
            rows.skip("record without answers")
            continue
        item = _item(record, columns, rows, place)
        answers += [
            (place, item, _worker(worker, rows, place), _content(worker, rows, place), None)
            for worker in given
        ]
    return _table(rows, answers, columns)


def _table(rows: Rows, answers: list[Answer], columns: Mapping[str, str]) -> RawTable:
    question = choose_question((name for *_, content, _ in answers for name in content), columns, rows)
    for place, item, worker, content, when in answers:
        rows.add(place, item, worker, _label(content.get(question)) if question else None, when)
    return rows.table()


def _read_folder(folder: Path, source: str, columns: Mapping[str, str]) -> RawTable:
    """The output folder of a job: workers' answers joined to the lines of its manifest."""
    manifest = next(iter(sorted(folder.rglob(_MANIFEST))), None)
    if manifest is None:
        raise _without_texts(source)
    rows = Rows(source, "line of the manifest")
    answers: list[Answer] = []
    lines = list(read_records(manifest, str(manifest)).entries)
    for number, record in lines:
        rows.record(number, lambda r=record, p=number: _item(r, columns, rows, p), record)  # type: ignore[misc]
    for file in sorted(path for path in folder.rglob("*.json") if _RESPONSES in path.parts):
        index = file.parent.name if file.parent.name.isdigit() else file.stem
        if not index.isdigit() or int(index) >= len(lines):
            raise DataError(
                f'"{index}" is not the number of one of the {len(lines):,} lines of the manifest.',
                where=str(file),
                fix="Copy the job's whole output folder.",
            )
        place, record = lines[int(index)]
        item = _item(record, columns, rows, place)
        for _, response in read_records(file, str(file)).entries:
            given = response.get("answers")
            if not isinstance(given, list) or not all(isinstance(answer, dict) for answer in given):
                raise DataError("there are no `answers`.", where=str(file), fix="Download the file again.")
            for answer in given:
                content = answer.get("answerContent")
                content = content if isinstance(content, dict) else {}
                answers.append((place, item, answer.get("workerId"), content, answer.get("submissionTime")))
    return _table(rows, answers, columns)


def _without_texts(where: str) -> DataError:
    return DataError(
        "these are workers' answers without the texts, which stand in the job's output manifest.",
        where=where,
        fix=f"Name the job's output folder, which holds manifests/output/{_MANIFEST} and annotations/{_RESPONSES}.",
    )


def _consolidated(rows: Rows, place: int, record: Mapping[str, Any], columns: Mapping[str, str]) -> Answer:
    """The one label of a line of an output manifest, under the job's name; by nobody."""
    found: dict[str, Any] = {}
    for name, about in record.items():
        if name.endswith("-metadata") and isinstance(about, dict):
            merged = about.get("class-name", about.get("class-map"))
            job = name.removesuffix("-metadata")
            labels = list(merged.values()) if isinstance(merged, dict) else merged
            found[job] = record.get(job) if labels is None else labels
    if not found:
        rows.skip("record without answers")
    else:
        rows.note(
            "The manifest holds the one label that Ground Truth merged the workers' answers into. Theirs lie in "
            f"annotations/{_RESPONSES} of the job's output folder: name that folder to read them."
        )
    return place, _item(record, columns, rows, place), None, found, None


def _worker(annotation: Mapping[str, Any], rows: Rows, place: int) -> object:
    if not isinstance(annotation, dict):
        raise rows.error(place, "a worker's answer is no object.", "Export the job again.")
    return annotation.get("workerId")


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
    item, chosen = texts_of(fields, columns, rows, place)
    if chosen.get("text") == "source-ref" and "text" not in columns:
        raise rows.error(
            place,
            "the texts are not in the manifest, only where they are stored (`source-ref`).",
            "Write each text into the manifest as `source`, or name another field with --columns text=NAME.",
        )
    identity = record.get("datasetObjectId", record.get("id", place))
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


def _recognises(peek: Peek) -> bool:
    if peek.kind == "folder":
        return any(_RESPONSES in PurePosixPath(name).parts for name in peek.members)
    if peek.kind != "json":
        return False
    if worker_annotations(peek.record) is not None or _is_response(peek.record):
        return True
    abouts = [value for name, value in peek.record.items() if name.endswith("-metadata")]
    return any(isinstance(about, dict) and "human-annotated" in about for about in abouts)


def _is_response(record: Mapping[str, Any]) -> bool:
    answers = record.get("answers")
    return isinstance(answers, list) and any(
        isinstance(answer, dict) and "answerContent" in answer for answer in answers
    )


FORMAT = Format(read_ground_truth, _recognises)
