"""The formats by name: what `--format` takes. Each reader has its own small file."""

from __future__ import annotations

from dcpc.data.readers import argilla, long
from dcpc.data.readers.crowd_kit import read_crowd_kit
from dcpc.data.readers.doccano import read_doccano
from dcpc.data.readers.ground_truth import read_ground_truth
from dcpc.data.readers.huggingface import read_huggingface
from dcpc.data.readers.label_studio import read_label_studio
from dcpc.data.readers.lewidi import read_lewidi
from dcpc.data.readers.long import Reader
from dcpc.data.readers.prodigy import read_prodigy
from dcpc.data.readers.wide import read_wide

FORMATS: dict[str, Reader] = {
    "long": long.read_long,
    "csv": long.long_csv,
    "tsv": long.long_tsv,
    "jsonl": long.long_jsonl,
    "parquet": long.long_parquet,
    "wide": read_wide,
    "crowd-kit": read_crowd_kit,
    "huggingface": read_huggingface,
    "argilla": argilla.read_argilla,
    "argilla-1": argilla.read_argilla_1,
    "argilla-table": argilla.read_argilla_table,
    "label-studio": read_label_studio,
    "prodigy": read_prodigy,
    "doccano": read_doccano,
    "ground-truth": read_ground_truth,
    "lewidi": read_lewidi,
}
"""Format name → reader."""
