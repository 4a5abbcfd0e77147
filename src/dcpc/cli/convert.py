"""`dcpc convert`: the same judgements in the form that another tool takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dcpc.cli import options
from dcpc.cli.reading import DataOptions, reads_data


@reads_data()
def command(
    data: options.Data,
    output: Annotated[
        Path,
        typer.Argument(
            metavar="OUTPUT",
            help="File: .csv, .tsv, .jsonl, .parquet, .json; or a folder, without an ending.",
        ),
    ],
    to: Annotated[
        str | None,
        typer.Option(
            help="long (the one long table), crowd-kit, trl, argilla or huggingface; by default what the name asks "
            "for: .json is argilla's, no ending huggingface's, else long."
        ),
    ] = None,
    *,
    reading: DataOptions,
    force: options.Force = False,
) -> None:
    """Read judgements from any format and write them as the long table, or for crowd-kit, TRL, Argilla or the Hub."""
    from rich.console import Console
    from rich.markup import escape

    from dcpc.data.conversion import check_conversion, convert, form_of
    from dcpc.files import check_not_source

    form = to or form_of(output)
    check_conversion(output, form, force=force)
    check_not_source(output, data)
    annotations = reading.annotations(data)
    options.show_notes(convert(annotations, output, form))
    said = (
        f"Read {annotations.n_judgements:,} judgements of {annotations.n_items:,} items; "
        f"written to {output} ({form})."
    )
    Console(highlight=False).print(escape(said), soft_wrap=True)
