"""Options that several subcommands share."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from dcpc.errors import UsageError

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA", help="Annotations: CSV, TSV, JSONL, Parquet, or an annotation tool's export."
    ),
]
COLUMN_KEYS = (
    "item_id", "text", "text_pair", "response_a", "response_b", "choices", "annotator_id", "label", "split", "time",
    "annotators", "labels", "label_share",
)  # fmt: skip
_TOOLS = Path(__file__).resolve().parents[1] / "data" / "readers" / "tools"
FORMAT_NAMES = (
    "long", "csv", "tsv", "jsonl", "parquet", "wide", "people", "crowd-kit", "huggingface",
    *sorted(path.stem.replace("_", "-") for path in _TOOLS.glob("*.py") if path.stem != "__init__"),
)  # fmt: skip
"""Written out, or told from file names, so that `--help` need not load the readers."""

Columns = Annotated[
    str | None,
    typer.Option(
        help="Your column names, as text=comment,label=rating. Ours: "
        f"{', '.join(COLUMN_KEYS)} (annotators: a wide table's columns, as annotators='anna|bert' or 'rater_*'; "
        "labels: columns of one label each, with 0 and 1, shares or counts, as labels='p_*'). A name "
        "with a comma stands in double quotes.",
        metavar="OURS=YOURS,…",
    ),
]
Format = Annotated[
    str | None,
    typer.Option(help=f"Force a format instead of telling it from the content: {', '.join(FORMAT_NAMES)}."),
]
Scale = Annotated[
    str | None, typer.Option(help="nominal, ordinal or preference; told from the labels by default.")
]
Labels = Annotated[
    str | None,
    typer.Option(
        help="The whole label set in its order, as 1,2,3,4,5; a label with a comma stands in double quotes."
    ),
]
Split = Annotated[str | None, typer.Option(help="Use only the rows whose `split` column says this.")]
Decide = Annotated[
    str | None,
    typer.Option(
        metavar="GOAL",
        help="What labels of items are decided for: macro-f1, by the rule that the adapter carries (the default "
        "where it has one), accuracy, the most probable label, or distance, the median (the default for a slider).",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace an output that is there already.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of everything that is drawn at random.")]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Embed texts and look for similar pairs on Ray: `local` starts one on this machine, `auto` or an "
        "address joins a cluster.",
    ),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Items per forward pass.")]
TrustRemoteCode = Annotated[
    bool,
    typer.Option("--trust-remote-code", help="Run modelling code that the base model's repository brings."),
]


def parse_columns(text: str | None) -> dict[str, str]:
    """`text=comment,label=rating` as a mapping from our column names to the user's.

    A comma belongs to the name that it stands in, where no `=` comes after it or the name stands in double quotes:
    `label=How rude, or harsh?` and `label="a = b, or c?"` name one column each.

    Raises:
        UsageError: if the first part has no `=`, or a quote is not closed.
    """
    result: dict[str, str] = {}
    for part in _split_outside_quotes(text or ""):
        ours, equals, theirs = part.partition("=")
        if equals:
            result[ours.strip()] = theirs.strip()
        elif result and part:
            last = next(reversed(result))
            result[last] = f"{result[last]},{part}"
        elif part:
            raise UsageError(
                f"`--columns {part}` names no column.", fix="Write it as text=comment,label=rating."
            )
    return {ours: _without_quotes(theirs) for ours, theirs in result.items()}


def _split_outside_quotes(text: str) -> list[str]:
    """Parts between commas; a quote counts only where a name begins with it."""
    parts, start, quoted, escaped = [], 0, False, False
    for position, mark in enumerate(text):
        if escaped or (mark == "\\" and quoted):
            escaped = not escaped
        elif mark == '"' and (quoted or text[start:position].rstrip().endswith("=")):
            quoted = not quoted
        elif mark == "," and not quoted:
            parts.append(text[start:position])
            start = position + 1
    if quoted:
        raise UsageError(
            "a quote in --columns is not closed.", fix='Write it as label="How rude, or harsh?".'
        )
    return [*parts, text[start:]]


def _without_quotes(name: str) -> str:
    if len(name) < 2 or name[0] != '"' or name[-1] != '"':
        return name
    return re.sub(r"\\(.)", r"\1", name[1:-1], flags=re.S)


def parse_list(text: str | None) -> list[str] | None:
    """Comma-separated words, as in a row of CSV: one with a comma in it stands in quotes. None stays None."""
    if text is None:
        return None
    return [word.strip() for word in next(csv.reader([text], skipinitialspace=True)) or [""]]


def show_notes(notes: Iterable[str]) -> None:
    """Print notes on the standard error, one a line."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True, highlight=False)
    for note in notes:
        console.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)
