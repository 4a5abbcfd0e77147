"""The formats by name: what `--format` takes."""

from __future__ import annotations

from dcpc.data.readers import long
from dcpc.data.readers.long import Reader

FORMATS: dict[str, Reader] = {
    "long": long.read_long,
    "csv": long.long_csv,
    "tsv": long.long_tsv,
    "jsonl": long.long_jsonl,
    "parquet": long.long_parquet,
}
"""Format name → reader; each reader has its own small file."""
