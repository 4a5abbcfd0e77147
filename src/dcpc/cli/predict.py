"""`dcpc predict`: labels, distributions or single annotators' labels for new items."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from dcpc.cli import options, write
from dcpc.cli.one_voice import check_alone
from dcpc.cli.reading import DataOptions, reads_data


class Form(StrEnum):
    """What to predict."""

    consensus = "consensus"
    distribution = "distribution"
    annotators = "annotators"


@reads_data("scale", "labels", "range", "repeats", "ignore_labels")
def command(
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER", help="Folder that `dcpc train` wrote.")],
    data: options.Data,
    output: Annotated[
        Path, typer.Option(help="File to write: .csv, .tsv, .jsonl or .parquet (but see --to).")
    ],
    form: Annotated[Form, typer.Option("--as", help="What to predict.")] = Form.consensus,
    decide: options.Decide = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            help="Write predictions as a tool imports them: label-studio or argilla (.json), prodigy or doccano "
            "(.jsonl), with the labels' shares as scores.",
        ),
    ] = None,
    question: Annotated[
        str | None,
        typer.Option(
            help="With --to: the question or control to answer; told from DATA, else label. Label Studio: "
            "CONTROL:SHOWN, the `name` and `toName` of the labelling interface."
        ),
    ] = None,
    *,
    reading: DataOptions,
    batch_size: options.BatchSize | None = None,
    max_new_tokens: write.MaxNewTokens = None,
    temperature: write.Temperature = None,
    top_p: write.TopP = None,
    top_k: write.TopK = None,
    repetition_penalty: write.RepetitionPenalty = None,
    num_beams: write.NumBeams = None,
    seed: write.GenerationSeed = None,
    force: options.Force = False,
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Predict the consensus, the label distribution, or every annotator's label; DATA needs no labels.

    An adapter that was trained to write generates replies: the dominant style's, or every writer's (--as annotators).

    One result per item where DATA has item ids, else one per row, in the order of the rows. Under torchrun or
    accelerate launch the processes share the items.
    """
    import pandas as pd
    from rich.console import Console
    from rich.markup import escape

    from dcpc import ranks
    from dcpc.adapter import load_adapter
    from dcpc.data.writers import check_table_output, table_in_parts
    from dcpc.files import check_not_source
    from dcpc.prediction import predict_parts
    from dcpc.training.sharding import split_where_asked

    ranks.join()
    if ranks.is_first():  # which alone writes
        if to is None:
            check_table_output(output, force=force)
        else:
            _check_tool(to, output, form, force=force)
        check_not_source(output, data, adapter)
    generation = {
        "max_new_tokens": max_new_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "repetition_penalty": repetition_penalty,
        "num_beams": num_beams,
        "seed": seed,
    }
    if write.is_for(adapter):
        check_alone("dcpc predict, of replies,")
        write.refuse(
            {
                **reading.given_beyond_columns(),
                "--decide": decide,
                "--as distribution": form is Form.distribution or None,
                "--to": to,
            },
            "writing",
        )
        write.predict(
            adapter,
            data,
            output,
            annotators=form is Form.annotators,
            generation=generation,
            columns=reading.columns,
            format=reading.format,
            batch_size=batch_size or write.BATCH_SIZE,
            trust_remote_code=trust_remote_code,
        )
        return
    write.refuse({f"--{name.replace('_', '-')}": value for name, value in generation.items()}, "this task")
    rows = reading.items(data)
    trained = load_adapter(adapter, trust_remote_code=trust_remote_code)
    split_where_asked(trained.model)
    if form is not Form.annotators and decide is None and trained.task.decision is None:
        options.show_notes([f"The adapter decides {trained.task.how_it_decides}."])
    as_ = "distribution" if to is not None else form.value
    parts = predict_parts(trained, rows, as_, goal=decide, batch_size=batch_size or 64, progress=True)
    n_predictions = 0
    with ranks.sharing():
        if not ranks.is_first():
            for _ in parts:
                pass
            return
        if to is None:
            with table_in_parts(output) as write_part:
                for part in parts:
                    write_part(part)
                    n_predictions += len(part)
        else:
            table = pd.concat(parts, ignore_index=True)
            n_predictions = len(table)
    if to is not None:
        from dcpc.data.back import predictions_of, write_predictions

        write_predictions(predictions_of(rows, table), output, to, question)
        if (
            to == "label-studio"
            and question is None
            and not any(_answered(record) for record in rows.records)
        ):
            options.show_notes(
                [
                    "No task in the data is annotated, so the control is taken to be `label`, on `text`. Where the "
                    "labelling interface calls them otherwise, say so: --question CONTROL:SHOWN."
                ]
            )
    of = f"{len(rows.items):,} items" if rows.has_ids else f"{len(rows.codes):,} rows"
    said = f"{n_predictions:,} predictions of {of} are in {output}."
    Console(highlight=False).print(escape(said), soft_wrap=True)


def _answered(record: Mapping[str, Any]) -> bool:
    return any(one.get("result") for one in record.get("annotations") or record.get("completions") or ())


def _check_tool(tool: str, output: Path, form: Form, *, force: bool) -> None:
    from dcpc.data.back import check_tool_output
    from dcpc.errors import UsageError
    from dcpc.files import check_output_file

    if form is Form.annotators:
        raise UsageError("--to writes one prediction per item.", fix="Leave out --as annotators.")
    check_tool_output(tool, output)
    check_output_file(output, force=force)
