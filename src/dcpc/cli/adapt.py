"""`dcpc adapt`: new annotators for a trained adapter, from a few judgements of each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dcpc.cli import options, write
from dcpc.cli.reading import DataOptions, reads_data
from dcpc.errors import LabelError, UsageError


@reads_data("scale", "labels", "range")
def command(
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER", help="Folder that `dcpc train` wrote.")],
    data: options.Data,
    output: Annotated[Path, typer.Option(help="Folder for the adapter that knows them too.")],
    split: options.Split = None,
    group_column: Annotated[
        str | None,
        typer.Option(
            help="Column of DATA with the annotator's group, where it is not called as in training: a new annotator "
            "starts from the group."
        ),
    ] = None,
    *,
    reading: DataOptions,
    batch_size: options.BatchSize | None = None,
    force: options.Force = False,
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Let ADAPTER know annotators who were not there in training, from their judgements in DATA, in seconds.

    A few judgements of each will do, and one is better than none. No weight of the adapter changes, nor what it
    predicts for anybody else. Annotators whom the training knew are left out of DATA. Later judgements of an adapted
    annotator are added to the earlier ones: give each judgement once.
    """
    from dcpc.adaptation import adapt
    from dcpc.adapter import load_adapter
    from dcpc.data.splits import keep_split
    from dcpc.files import check_not_source, check_output_folder
    from dcpc.task import Task

    if write.is_for(adapter):
        raise UsageError(
            "an adapter that was trained to write cannot be adapted: a writer's style is part of its weights.",
            where=adapter,
            fix="Train again with the new writers' replies.",
        )
    check_output_folder(output, "train", force=force)
    check_not_source(output, adapter, data)
    task = Task.read(adapter)
    try:
        few = reading.annotations(data, scale=task.scale, labels=task.labels, range=task.range)
    except LabelError as error:
        raise LabelError(
            error.what,
            where=error.where,
            fix="New annotators can only be learned by the adapter's labels: correct the label, or remove the rows.",
        ) from error
    few = keep_split(few, split)
    trained = load_adapter(adapter, trust_remote_code=trust_remote_code)
    done = adapt(
        trained,
        few,
        group_column=group_column,
        exact=reading.exact,
        batch_size=batch_size or 64,
        progress=True,
    )
    trained.save(output, force=force)
    options.show_notes(done.notes)
    least, most = min(done.judgements), max(done.judgements)
    each = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    who = done.annotators[0] if len(done.annotators) == 1 else f"{len(done.annotators):,} more annotators"
    typer.echo(f"{output} knows {who}, by {each} {'judgement' if most == 1 else 'judgements'} each.")
