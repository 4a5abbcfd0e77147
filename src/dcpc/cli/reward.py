"""`dcpc reward`: rewards of single responses, from an adapter that was trained on votes between two."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dcpc.cli import options


class Form(StrEnum):
    """Whose rewards."""

    consensus = "consensus"
    annotators = "annotators"


def command(
    adapter: Annotated[
        Path, typer.Argument(metavar="ADAPTER", help="Folder that `dcpc train --task prefer` wrote.")
    ],
    responses: Annotated[
        str,
        typer.Argument(
            metavar="RESPONSES",
            help="CSV, TSV, JSONL or Parquet: `text` (or `messages`, a chat) and `response`; perhaps `item_id`.",
        ),
    ],
    output: Annotated[Path, typer.Option(help="File to write: .csv, .tsv, .jsonl or .parquet.")],
    form: Annotated[
        Form,
        typer.Option(
            "--as",
            help="`consensus`: one reward per response. `annotators`: each rater's own, where the adapter was "
            "trained with tastes.",
        ),
    ] = Form.consensus,
    best: Annotated[
        bool,
        typer.Option(
            "--best",
            help="Keep only the best response to each prompt (for each rater); the first of equal ones.",
        ),
    ] = False,
    columns: Annotated[
        str | None,
        typer.Option(metavar="OURS=YOURS,…", help="Your column names, as text=prompt,response=completion."),
    ] = None,
    format: options.Format = None,
    batch_size: options.BatchSize = 64,
    force: options.Force = False,
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Score single responses: a `reward` and a `rank` among those to the same prompt, 1 for the best.

    Rewards of responses to one prompt can be compared; those to different prompts differ by the prompt, too.
    """
    from rich.console import Console
    from rich.markup import escape

    from dcpc.adapter import load_adapter
    from dcpc.data.raw import count
    from dcpc.data.writers import check_table_output, write_table
    from dcpc.files import check_not_source
    from dcpc.preference.reward import reward_table
    from dcpc.tasks.write.replies import read_replies

    check_table_output(output, force=force)
    check_not_source(output, responses, adapter)
    replies = read_replies(
        responses, format=format, columns=options.parse_columns(columns), with_writers=False
    )
    trained = load_adapter(adapter, trust_remote_code=trust_remote_code)
    table, notes = reward_table(trained, replies, form.value, best=best, batch_size=batch_size, progress=True)
    options.show_notes([*replies.notes, *notes])
    write_table(table, output)
    n = count(len(replies.table), "response")
    what = f"The best of {n}" if best else f"Rewards of {n}"
    by = f" by {count(len(trained.annotators), 'rater')}" if form is Form.annotators else ""
    said = f"{what} to {count(replies.n_items, 'prompt')}{by} are in {output}."
    Console(highlight=False).print(escape(said), soft_wrap=True)
