"""The same judgements in every format that is read: each tool's export, in a few lines of code."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Judgement:
    item: str
    text: str
    annotator: str
    label: str


Judgements = list[Judgement]


def by_item(judgements: Judgements) -> dict[tuple[str, str], Judgements]:
    grouped: dict[tuple[str, str], Judgements] = {}
    for judgement in judgements:
        grouped.setdefault((judgement.item, judgement.text), []).append(judgement)
    return grouped


def long_rows(judgements: Judgements) -> list[dict[str, Any]]:
    return [
        {"item_id": j.item, "text": j.text, "annotator_id": j.annotator, "label": j.label} for j in judgements
    ]


def wide_rows(judgements: Judgements) -> list[dict[str, Any]]:
    annotators = sorted({j.annotator for j in judgements} | {"1", "2"})
    return [
        {"item_id": item, "text": text}
        | {f"rater_{a}": next((j.label for j in given if j.annotator == a), None) for a in annotators}
        for (item, text), given in by_item(judgements).items()
    ]


def write_rows(rows: list[dict[str, Any]], path: Path) -> Path:
    if path.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, rows[0], delimiter="\t" if path.suffix == ".tsv" else ",")
            table.writeheader()
            table.writerows(rows)
    return path


def argilla(judgements: Judgements, folder: Path) -> Path:
    records = [
        {
            "id": item,
            "fields": {"text": text},
            "metadata": {},
            "suggestions": {"verdict": {"value": "yes", "score": 0.5, "agent": "model"}},
            "responses": {"verdict": [{"value": j.label, "user_id": j.annotator} for j in given]},
            "vectors": {},
        }
        for (item, text), given in by_item(judgements).items()
    ]
    return write_rows(records, folder / "argilla.json")


def argilla_1(judgements: Judgements, folder: Path) -> Path:
    records = [
        {
            "external_id": item,
            "fields": {"text": text},
            "metadata": {},
            "responses": [
                {"user_id": j.annotator, "status": "submitted", "values": {"verdict": {"value": j.label}}}
                for j in given
            ],
            "suggestions": [],
        }
        for (item, text), given in by_item(judgements).items()
    ]
    return write_rows(records, folder / "argilla-1.jsonl")


def argilla_1_text_classification(judgements: Judgements, folder: Path) -> Path:
    records = [
        {
            "id": j.item,
            "inputs": {"text": j.text},
            "prediction": [{"label": "yes", "score": 0.9}],
            "annotation": j.label,
            "annotation_agent": j.annotator,
            "status": "Validated",
            "metadata": {},
        }
        for j in judgements
    ]
    return write_rows(records, folder / "argilla-1-old.jsonl")


def argilla_table(judgements: Judgements, folder: Path) -> Path:
    records = [
        {
            "id": item,
            "text": text,
            "verdict.responses": [j.label for j in given],
            "verdict.responses.users": [j.annotator for j in given],
            "verdict.responses.status": ["submitted" for _ in given],
        }
        for (item, text), given in by_item(judgements).items()
    ]
    return write_rows(records, folder / "argilla-table.parquet")


def label_studio(judgements: Judgements, folder: Path) -> Path:
    def annotation(j: Judgement) -> dict[str, Any]:
        value = {
            "from_name": "verdict",
            "to_name": "text",
            "type": "choices",
            "value": {"choices": [j.label]},
        }
        # Community exports hold the annotator's id, others an object.
        by = int(j.annotator) if int(j.annotator) % 2 else {"id": int(j.annotator), "email": "someone"}
        return {"completed_by": by, "result": [value], "was_cancelled": False}

    tasks = [
        {
            "id": int(item),
            "data": {"text": text},
            "annotations": [annotation(j) for j in given],
            "predictions": [],
        }
        for (item, text), given in by_item(judgements).items()
    ]
    return write_rows(tasks, folder / "label-studio.json")


def prodigy(judgements: Judgements, folder: Path) -> Path:
    tasks = [
        {
            "text": j.text,
            "_input_hash": int(j.item),
            "_task_hash": -int(j.item),
            "options": [{"id": "yes", "text": "Yes"}, {"id": "no", "text": "No"}],
            "accept": [j.label],
            "answer": "accept",
            "_annotator_id": j.annotator,
            "_session_id": f"session-{j.annotator}",
        }
        for j in judgements
    ]
    return write_rows(tasks, folder / "prodigy.jsonl")


def doccano(judgements: Judgements, folder: Path) -> Path:
    path = folder / "doccano.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for annotator in sorted({j.annotator for j in judgements}):
            entries = (
                {"id": int(j.item), "text": j.text, "label": [j.label], "Comments": []}
                for j in judgements
                if j.annotator == annotator
            )
            archive.writestr(f"{annotator}.jsonl", "".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def ground_truth(judgements: Judgements, folder: Path) -> Path:
    lines = [
        {
            "id": item,
            "source": text,
            "job": {
                "annotationsFromAllWorkers": [
                    {
                        "workerId": j.annotator,
                        "annotationData": {"content": json.dumps({"verdict": {"label": j.label}})},
                    }
                    for j in given
                ]
            },
            "job-metadata": {"type": "groundtruth/custom", "human-annotated": "yes"},
        }
        for (item, text), given in by_item(judgements).items()
    ]
    return write_rows(lines, folder / "output.manifest.jsonl")


def lewidi_2023(judgements: Judgements, folder: Path) -> Path:
    entries = {
        item: {
            "annotation task": "a task",
            "text": text,
            "number of annotations": len(given),
            "annotations": ",".join(j.label for j in given),
            "annotators": ",".join(j.annotator for j in given),
            "hard_label": "yes",
            "soft_label": {"yes": 0.5, "no": 0.5},
            "lang": "en",
            "other_info": {"domain": "a domain"},
        }
        for (item, text), given in by_item(judgements).items()
    }
    path = folder / "lewidi-2023.json"
    path.write_text(json.dumps(entries, indent=1), encoding="utf-8")
    return path


def lewidi_2025(judgements: Judgements, folder: Path) -> Path:
    entries = {
        item: {
            "text": text,
            "annotators": ",".join(j.annotator for j in given),
            "annotations": {j.annotator: j.label for j in given},
            "soft_label": {},
            "split": "train",
        }
        for (item, text), given in by_item(judgements).items()
    }
    path = folder / "lewidi-2025.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


def label_studio_min(judgements: Judgements, folder: Path, name: str = "min.json") -> Path:
    rows = [
        {
            "annotation_id": number,
            "annotator": int(j.annotator),
            "created_at": "2024-03-01T10:00:00Z",
            "id": int(j.item),
            "lead_time": 3.1,
            "text": j.text,
            "updated_at": "2024-03-01T10:00:00Z",
            "verdict": j.label,
        }
        for number, j in enumerate(judgements)
    ]
    return write_rows(rows, folder / name)


def labelbox(judgements: Judgements, folder: Path) -> Path:
    def label(j: Judgement) -> dict[str, Any]:
        answer = {"name": "verdict", "value": "verdict", "radio_answer": {"name": j.label, "value": j.label}}
        return {
            "label_kind": "Default",
            "label_details": {"created_by": j.annotator, "created_at": "2024-03-01"},
            "annotations": {"objects": [], "classifications": [answer]},
        }

    rows = [
        {
            "data_row": {"id": item, "row_data": text},
            "projects": {"p": {"name": "P", "labels": [label(j) for j in given]}},
        }
        for (item, text), given in by_item(judgements).items()
    ]
    return write_rows(rows, folder / "labelbox.jsonl")


def potato(judgements: Judgements, folder: Path) -> Path:
    for annotator in {j.annotator for j in judgements}:
        own = folder / "annotation_output" / annotator
        own.mkdir(parents=True)
        instances = [
            {
                "id": j.item,
                "displayed_text": j.text,
                "label_annotations": {"verdict": {j.label: "true"}},
                "span_annotations": {},
                "behavioral_data": {"time_string": "Time spent: 0d 0h 0m 5s "},
            }
            for j in judgements
            if j.annotator == annotator
        ]
        write_rows(instances, own / "annotated_instances.jsonl")
    return folder / "annotation_output"


def potato_table(judgements: Judgements, folder: Path, name: str = "annotated_instances.csv") -> Path:
    """One column per answer of each scheme, empty where it was not chosen."""
    answers = sorted({j.label for j in judgements})
    rows = [
        {"user": j.annotator, "instance_id": j.item, "displayed_text": j.text}
        | {f"verdict:::{answer}": "true" if answer == j.label else None for answer in answers}
        for j in judgements
    ]
    return write_rows(rows, folder / name)


def potato_states(judgements: Judgements, folder: Path) -> Path:
    """A Potato 2 project: what annotators answered, without the texts, beside the data and the config."""
    texts = {j.item: j.text for j in judgements}
    folder = folder / "project"
    (folder / "data").mkdir(parents=True)
    write_rows([{"id": item, "text": text} for item, text in texts.items()], folder / "data" / "items.jsonl")
    (folder / "config.yaml").write_text(
        "data_files: [data/items.jsonl]\nitem_properties: {id_key: id, text_key: text}\n"
        "output_annotation_dir: annotation_output\n"
    )
    for annotator in {j.annotator for j in judgements}:
        own = folder / "annotation_output" / f"user_{annotator}"
        own.mkdir(parents=True)
        given = {
            j.item: [[{"schema": "verdict", "name": j.label}, True]]
            for j in judgements
            if j.annotator == annotator
        }
        state = {
            "user_id": annotator,
            "instance_id_ordering": list(texts),
            "instance_id_to_label_to_value": given,
        }
        (own / "user_state.json").write_text(json.dumps(state))
    return folder


def doccano_folder(judgements: Judgements, folder: Path) -> Path:
    with zipfile.ZipFile(doccano(judgements, folder)) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def ground_truth_folder(judgements: Judgements, folder: Path) -> Path:
    manifest = folder / "job" / "manifests" / "output" / "output.manifest"
    manifest.parent.mkdir(parents=True)
    items = by_item(judgements)
    lines = [{"id": item, "source": text, "job-metadata": {"human-annotated": "yes"}} for item, text in items]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    for number, given in enumerate(items.values()):
        answers = [
            {
                "workerId": j.annotator,
                "answerContent": {"crowd-classifier": {"label": j.label}},
                "submissionTime": "2024-03-01T00:00:09Z",
            }
            for j in given
        ]
        responses = folder / "job" / "annotations" / "worker-response" / "iteration-1"
        file = responses / str(number) / "2024-03-01.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"answers": answers}), encoding="utf-8")
    return folder / "job"


def nested(judgements: Judgements, folder: Path, name: str = "nested.jsonl") -> Path:
    rows = [
        {
            "id": item,
            "text": text,
            "annotators": [{"label": j.label, "annotator_id": j.annotator} for j in given],
        }
        for (item, text), given in by_item(judgements).items()
    ]
    return write_rows(rows, folder / name)


def side_by_side(judgements: Judgements, folder: Path, name: str = "lists.jsonl") -> Path:
    rows = [
        {
            "id": item,
            "text": text,
            "annotators": [j.annotator for j in given],
            "labels": [j.label for j in given],
        }
        for (item, text), given in by_item(judgements).items()
    ]
    return write_rows(rows, folder / name)


def objects_of_lists(judgements: Judgements, folder: Path, name: str = "objects.parquet") -> Path:
    """A list of objects as Hugging Face stores it."""
    rows = [
        {"id": item, "text": text}
        | {"annotators": {"annotator_id": [j.annotator for j in given], "label": [j.label for j in given]}}
        for (item, text), given in by_item(judgements).items()
    ]
    return write_rows(rows, folder / name)


def hugging_face_lists(judgements: Judgements, folder: Path) -> Path:
    import datasets

    path = side_by_side(judgements, folder, "lists.parquet")
    datasets.Dataset.from_pandas(pd.read_parquet(path)).save_to_disk(folder / "saved lists")
    return folder / "saved lists"


def crowd_kit(judgements: Judgements, folder: Path) -> Path:
    rows = [{"task": j.item, "worker": j.annotator, "label": j.label, "text": j.text} for j in judgements]
    return write_rows(rows, folder / "crowd.csv")


def huggingface(judgements: Judgements, folder: Path) -> Path:
    import datasets

    features = datasets.Features(
        {name: datasets.Value("string") for name in ("item_id", "text", "annotator_id")}
        | {"label": datasets.ClassLabel(names=["no", "yes"])}
    )
    path = folder / "saved"
    data = datasets.Dataset.from_list(long_rows(judgements), features=features)
    datasets.DatasetDict({"train": data}).save_to_disk(path)
    return path


def _table(
    rows: Callable[[Judgements], list[dict[str, Any]]], name: str
) -> Callable[[Judgements, Path], Path]:
    return lambda judgements, folder: write_rows(rows(judgements), folder / name)


EXPORTS: dict[str, tuple[str, Callable[[Judgements, Path], Path]]] = {
    **{
        f"long {kind}": ("long", _table(long_rows, f"long.{kind}"))
        for kind in ("csv", "tsv", "jsonl", "json")
    },
    "long parquet": ("long", _table(long_rows, "long.parquet")),
    **{
        f"wide {kind}": ("wide", _table(wide_rows, f"wide.{kind}"))
        for kind in ("csv", "tsv", "jsonl", "parquet")
    },
    "crowd-kit": ("crowd-kit", crowd_kit),
    "hugging face": ("huggingface", huggingface),
    "argilla 2": ("argilla", argilla),
    "argilla 2 on the hub": ("argilla-table", argilla_table),
    "argilla 1": ("argilla-1", argilla_1),
    "argilla 1, text classification": ("argilla-1", argilla_1_text_classification),
    "label studio": ("label-studio", label_studio),
    "prodigy": ("prodigy", prodigy),
    "doccano": ("doccano", doccano),
    "ground truth": ("ground-truth", ground_truth),
    "ground truth, a job's folder": ("ground-truth", ground_truth_folder),
    "doccano, unpacked": ("doccano", doccano_folder),
    "label studio, JSON_MIN": ("label-studio-min", label_studio_min),
    "label studio, CSV": ("label-studio-min", lambda j, folder: label_studio_min(j, folder, "min.csv")),
    "labelbox": ("labelbox", labelbox),
    "potato": ("potato", potato),
    "potato csv": ("potato", potato_table),
    "potato tsv": ("potato", lambda rows, folder: potato_table(rows, folder, "annotated_instances.tsv")),
    "potato states": ("potato", potato_states),
    "nested objects": ("nested", nested),
    "nested objects, parquet": ("nested", lambda j, folder: nested(j, folder, "nested.parquet")),
    "object of lists": ("nested", objects_of_lists),
    "object of lists, json": ("nested", lambda j, folder: objects_of_lists(j, folder, "objects.jsonl")),
    "lists side by side": ("nested", side_by_side),
    "lists side by side, parquet": ("nested", lambda j, folder: side_by_side(j, folder, "lists.parquet")),
    "hugging face, lists": ("huggingface", hugging_face_lists),
    "lewidi 2023": ("lewidi", lewidi_2023),
    "lewidi 2025": ("lewidi", lewidi_2025),
}
"""What it is → the format's name, and what writes it."""
