"""Options that several subcommands share."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from dcpc.errors import UsageError

if TYPE_CHECKING:  # it loads pandas, without which `--help` is quick
    from dcpc.data.annotations import Annotations
    from dcpc.data.annotations import Scale as LabelScale

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA", help="Annotations: CSV, TSV, JSONL, Parquet, or an annotation tool's export."
    ),
]
COLUMN_KEYS = (
    "item_id", "text", "text_pair", "response_a", "response_b", "annotator_id", "label", "split", "annotators",
)  # fmt: skip
FORMAT_NAMES = (
    "long", "csv", "tsv", "jsonl", "parquet", "wide", "crowd-kit", "huggingface", "argilla", "argilla-1",
    "argilla-table", "label-studio", "prodigy", "doccano", "ground-truth", "lewidi",
)  # fmt: skip
"""Written out, so that `--help` need not load the readers."""

Columns = Annotated[
    str | None,
    typer.Option(
        help="Your column names, as text=comment,label=rating. Ours: "
        f"{', '.join(COLUMN_KEYS)} (a wide table's columns, as annotators='anna|bert' or 'rater_*').",
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
        "where it has one), or accuracy, the most probable label.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace an output that is there already.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of everything that is drawn at random.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Items per forward pass.")]
TrustRemoteCode = Annotated[
    bool,
    typer.Option("--trust-remote-code", help="Run modelling code that the base model's repository brings."),
]


def parse_columns(text: str | None) -> dict[str, str]:
    """`text=comment,label=rating` as a mapping from our column names to the user's.

    Raises:
        UsageError: if a part has no `=`.
    """
    result = {}
    for part in (text or "").split(","):
        ours, equals, theirs = part.partition("=")
        if part and not equals:
            raise UsageError(
                f"`--columns {part}` names no column.", fix="Write it as text=comment,label=rating."
            )
        if part:
            result[ours.strip()] = theirs.strip()
    return result


def parse_list(text: str | None) -> list[str] | None:
    """Comma-separated words, as in a row of CSV: one with a comma in it stands in quotes. None stays None."""
    if text is None:
        return None
    return [word.strip() for word in next(csv.reader([text], skipinitialspace=True)) or [""]]


def read(
    data: str,
    columns: str | None = None,
    format: str | None = None,
    scale: str | None = None,
    labels: Sequence[str] | None = None,
) -> Annotations:
    """Read the annotations that a subcommand was given, and say what the reader skipped or changed."""
    from dcpc.data.annotations import Scale as LabelScale
    from dcpc.data.readers import read_annotations

    scales: dict[str | None, LabelScale | None] = {
        None: None,
        **{name: name for name in get_args(LabelScale)},
    }
    if scale not in scales:
        raise UsageError(f"there is no scale `{scale}`.", fix="Scales are: nominal, ordinal, preference.")
    annotations = read_annotations(
        data, format=format, columns=parse_columns(columns), scale=scales[scale], labels=labels
    )
    show_notes(annotations.notes)
    return annotations


def show_notes(notes: Iterable[str]) -> None:
    """Print notes on the standard error, one a line."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True, highlight=False)
    for note in notes:
        console.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)
