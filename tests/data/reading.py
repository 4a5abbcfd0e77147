"""What tests of readers share: an export on disk, and a look at what was read from it."""

from __future__ import annotations

import json
from pathlib import Path

from dcpc.data import Annotations


def save(folder: Path, records: object, name: str = "export.json") -> Path:
    path = folder / name
    if name.endswith(".jsonl"):
        path.write_text("\n".join(json.dumps(record) for record in records))  # type: ignore[attr-defined]
    else:
        path.write_text(json.dumps(records))
    return path


def labels_of(annotations: Annotations) -> list[str]:
    return annotations.table["label"].tolist()


def has_note(annotations: Annotations, part: str) -> bool:
    return any(part in note for note in annotations.notes)
