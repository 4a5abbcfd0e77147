"""`dcpc-bench pack`: the records of a benchmark in a tenth to a fifth of the space, to commit or send."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    folder: Annotated[Path, typer.Argument(help="The --output of a benchmark.")],
) -> None:
    """Compress a store. It is read and gone on with as before."""
    from dcpc.errors import UsageError
    from dcpc_bench.rig.store import Store

    store = Store(folder)
    if store.plan is None:
        raise UsageError(
            "no records of a benchmark are here.", where=folder, fix="Name the --output of a benchmark."
        )
    store.pack()
    typer.echo(f"{folder / 'records.jsonl.xz'} ({len(store.records()):,} records)")
