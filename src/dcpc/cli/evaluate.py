"""`dcpc evaluate`: an adapter against all annotators of held-out items."""

from __future__ import annotations

import json
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcpc.cli import options, write
from dcpc.cli.one_voice import check_alone
from dcpc.cli.reading import DataOptions, reads_data
from dcpc.errors import LabelError

if TYPE_CHECKING:
    from dcpc.adapter import TrainedAdapter
    from dcpc.data import Annotations
    from dcpc.task import Task


@reads_data("scale", "labels", "range")
def command(
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER", help="Folder that `dcpc train` wrote.")],
    data: options.Data,
    output: Annotated[Path | None, typer.Option(help="JSON file for the figures.")] = None,
    split: options.Split = None,
    *,
    reading: DataOptions,
    decide: options.Decide = None,
    batch_size: options.BatchSize | None = None,
    generate: Annotated[
        bool | None,
        typer.Option(
            "--generate/--no-generate",
            help="Writing: also generate a reply for every held-out one, and compare them (slow); on by default.",
        ),
    ] = None,
    max_new_tokens: write.MaxNewTokens = None,
    temperature: write.Temperature = None,
    seed: write.GenerationSeed = None,
    force: options.Force = False,
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Compare predictions with the judgements of DATA: majority, distribution, single annotators.

    macro_f1 and accuracy are of the labels that `dcpc predict` gives, macro_f1_argmax and accuracy_argmax of the most
    probable ones. judgement_error is the share of judgements that are predicted wrong, mean_annotator_error the mean
    over annotators of each one's share.

    An adapter that was trained to write is compared with held-out replies: likelihood per token, chrF, ROUGE, and the
    share of generated replies whose style a classifier takes for the right writer's.

    Annotators whom training did not know are predicted as anybody; or as their group, where the adapter was trained
    with --group-column and DATA has that column.
    """
    from dcpc import ranks
    from dcpc.adapter import load_adapter
    from dcpc.data.splits import keep_split
    from dcpc.files import atomic_file, check_not_source, check_output_file
    from dcpc.task import Task
    from dcpc.training.sharding import split_where_asked

    ranks.join()
    if output is not None and ranks.is_first():  # which alone writes
        check_output_file(output, force=force)
        check_not_source(output, data, adapter)
    generation = {"max_new_tokens": max_new_tokens, "temperature": temperature, "seed": seed}
    if write.is_for(adapter):
        check_alone("dcpc evaluate, of replies,")
        write.refuse({**reading.given_beyond_columns(), "--decide": decide}, "writing")
        write.evaluate(
            adapter,
            data,
            output,
            split=split,
            generation=None if generate is False else generation,
            columns=reading.columns,
            format=reading.format,
            batch_size=batch_size or write.BATCH_SIZE,
            trust_remote_code=trust_remote_code,
        )
        return
    flags = {f"--{name.replace('_', '-')}": value for name, value in generation.items()}
    write.refuse({"--generate": generate, **flags}, "this task")
    task = Task.read(adapter)
    annotations = keep_split(_read(data, reading, task), split)
    trained = load_adapter(adapter, trust_remote_code=trust_remote_code)
    split_where_asked(trained.model)
    options.show_notes(_strangers(trained, annotations, reading.exact))
    goal = task.goal(decide)
    if decide is None and task.decision is None:
        options.show_notes([f"The adapter decides {task.how_it_decides}."])
    with ranks.sharing():
        figures = trained.evaluate(
            annotations, decide=goal, exact=reading.exact, batch_size=batch_size or 64, progress=True
        )
    if not ranks.is_first():
        return
    figures |= {name: int(figures[name]) for name in ("items", "ties")}
    if output is not None:
        # JSON has no word for a number that does not exist, such as the accuracy where every item is tied.
        known = {name: value if isfinite(value) else None for name, value in figures.items()}
        content = {"adapter": str(adapter), "data": data, "split": split, "decide": goal, **known}
        with atomic_file(output) as path:
            path.write_text(json.dumps(content, indent=2, allow_nan=False), encoding="utf-8")
    _print(f"{adapter} on {annotations.n_items:,} items of {annotations.source}, decided for {goal}", figures)


def _read(data: str, reading: DataOptions, task: Task) -> Annotations:
    """The judgements of DATA, whose labels must be those that the adapter knows."""
    try:
        return reading.annotations(data, scale=task.scale, labels=task.labels, range=task.range)
    except LabelError as error:
        # The reader's advice is for those who may choose the labels.
        raise LabelError(
            error.what,
            where=error.where,
            fix="The adapter can only be compared on the labels that it was trained with: correct the label, or "
            f"remove the rows.{_SLIDER if task.scale == 'ordinal' else ''}",
        ) from error


_SLIDER = " If the labels are a slider's, train with --range LOW HIGH: then all its values are known."


def _strangers(trained: TrainedAdapter, annotations: Annotations, exact: bool) -> list[str]:
    """A note on annotators of whom the adapter knows nothing, where it knows others."""
    from dcpc.prediction.evaluate import unknown_annotators

    strange = unknown_annotators(trained, annotations, exact=exact)
    if strange.empty:
        return []
    ids = annotations.table["annotator_id"]
    return [
        f"{strange.nunique():,} of {ids.nunique():,} annotators, with {len(strange):,} of {ids.count():,} "
        "judgements, were unknown in training: judgement_error and mean_annotator_error predict them as anybody."
    ]


def _print(title: str, figures: dict[str, float]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), box=None)
    table.add_column("Metric")
    table.add_column("Value", justify="right")
    for name, value in figures.items():
        shown = f"{value:,}" if isinstance(value, int) else f"{value:.4f}" if isfinite(value) else "–"
        table.add_row(name, shown)
    Console(highlight=False).print(table)
