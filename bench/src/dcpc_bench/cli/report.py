"""`dcpc-bench report`: the report of a benchmark, finished or not, made anew from its store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    folder: Annotated[Path, typer.Argument(help="The --output of a benchmark.")],
    reference: Annotated[str, typer.Option(help="Method that the others are compared with.")] = "dcpc",
) -> None:
    """Write `report.html`, `results.md` and the long forms of a benchmark's store."""
    from dcpc_bench.report import write_report

    write_report(folder, reference=reference)
    typer.echo(folder / "report.html")
