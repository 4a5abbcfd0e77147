"""The formats by name: what `--format` takes. A file in `tools` is a format; tables have theirs here."""

from __future__ import annotations

from dcpc.data.readers import long
from dcpc.data.readers.crowd_kit import read_crowd_kit
from dcpc.data.readers.formats import Reader
from dcpc.data.readers.huggingface import read_huggingface
from dcpc.data.readers.people import read_people
from dcpc.data.readers.tools import tool_formats
from dcpc.data.readers.wide import read_wide

FORMATS: dict[str, Reader] = {
    "long": long.read_long,
    "csv": long.long_csv,
    "tsv": long.long_tsv,
    "jsonl": long.long_jsonl,
    "parquet": long.long_parquet,
    "wide": read_wide,
    "people": read_people,
    "crowd-kit": read_crowd_kit,
    "huggingface": read_huggingface,
    **{name: tool.read for name, tool in tool_formats().items()},
}
"""Format name → reader. Of tables only the names of the columns tell who judged."""
