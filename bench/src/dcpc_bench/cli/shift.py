"""`dcpc-bench shift`: simulated annotators, or the shifted twin of a task."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcpc.cli import options
from dcpc.cli.reading import DataOptions
from dcpc.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from dcpc.data.annotations import Annotations
    from dcpc_bench.shifts import CleanItems, ShiftReport

_PLAIN_REPORT = ("items", "rows", "asked_noise", "realised_noise", "agreement", "changed_texts")


def command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An annotator pool or a shifted task.")],
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A task's folder or file (or `hub`), or annotations.")
    ],
    output: Annotated[Path, typer.Option(help="File to write: .csv, .tsv, .jsonl or .parquet.")],
    strength: Annotated[
        float, typer.Option(help="How strong the shift is: 0 changes nothing, 1 is full.")
    ] = 1.0,
    seed: options.Seed = 0,
    annotators: Annotated[int, typer.Option(min=1, help="Simulated annotators.")] = 12,
    labels_per_item: Annotated[int, typer.Option(min=1, help="Judgements per item.")] = 1,
    split: options.Split = None,
    columns: options.Columns = None,
    format: options.Format = None,
    force: options.Force = False,
) -> None:
    """Let simulated annotators with known preferences judge SOURCE, or shift one of six tasks.

    Pools: confusion, thresholds, polarity, group_bias, style, flips. Tasks: boolq-ps, copa-bs, record-r,
    sst-2-p, rte-e, alpaca-is.
    """
    from dcpc.data.writers import check_table_output, write_table
    from dcpc_bench.shifts import POOLS, simulate
    from dcpc_bench.source_tasks import SHIFTED_TASKS, load_task, shift_task

    name = _known(name, [*POOLS, *SHIFTED_TASKS])
    check_table_output(output, force=force)
    if name in POOLS:
        items = _items(source, split, columns, format)
        pool = POOLS[name](strength=strength)
        annotations, report = simulate(
            items, pool, n_annotators=annotators, labels_per_item=labels_per_item, seed=seed
        )
        table = annotations.table
    else:
        rows = _of_split(load_task(SHIFTED_TASKS[name], source), split, source)
        shifted = shift_task(
            name,
            rows,
            strength=strength,
            seed=seed,
            n_annotators=annotators,
            labels_per_item=labels_per_item,
        )
        table, report = shifted.table, shifted.report
    write_table(table, output)
    _show(report, output)


def _known(name: str, names: list[str]) -> str:
    """The name as it is registered; `SST2-P`, `group bias` and the like are understood.

    Raises:
        UsageError: for any other name, with the nearest ones.
    """
    from dcpc.names import did_you_mean, letters

    plain = {letters(known): known for known in names}
    if letters(name) in plain:
        return plain[letters(name)]
    raise UsageError(
        f'"{name}" is no pool and no shifted task.',
        fix=f"{did_you_mean(name, names)} Names: {', '.join(names)}.".lstrip(),
    )


def _items(source: str, split: str | None, columns: str | None, format: str | None) -> CleanItems:
    """Items with their gold label (a task's files) or their majority label (annotations)."""
    from dcpc.data.splits import keep_split
    from dcpc_bench.shifts import CleanItems
    from dcpc_bench.source_tasks import clean_items, load_task
    from dcpc_bench.source_tasks.loaders import task_at

    task = None if columns or format else task_at(source)
    if task is None:
        annotations = keep_split(DataOptions(columns=columns, format=format).annotations(source), split)
        options.show_notes(_ties(annotations))
        return CleanItems.from_annotations(annotations)
    if task in ("record", "alpaca"):
        raise UsageError(
            f"task {task} has open answers, and annotator pools need labels.",
            where=source,
            fix="Use `record-r` or `alpaca-is`, or another source.",
        )
    return clean_items(task, _of_split(load_task(task, source), split, source))


def _ties(annotations: Annotations) -> list[str]:
    """A note on items whose clean label is none that most of their annotators gave."""
    from dcpc.evaluation import majority_labels

    ties = int((majority_labels(annotations.counts) < 0).sum())
    first = "the first of their labels in the order of the label set counts as the clean one"
    return [f"{ties:,} of {annotations.n_items:,} items have no majority; {first}."] if ties else []


def _of_split(table: pd.DataFrame, split: str | None, source: str) -> pd.DataFrame:
    from dcpc.data.splits import rows_of_split

    return table if split is None else table[rows_of_split(table, split, source)].reset_index(drop=True)


def _show(report: ShiftReport, output: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    shown = Table("", "value", title=f"{report.name}, strength {report.strength:g}, seed {report.seed}")
    values = report.as_dict()
    for key in _PLAIN_REPORT:
        value = values[key]
        text = "–" if value is None else f"{value:.4f}" if isinstance(value, float) else f"{value:,}"
        shown.add_row(key.replace("_", " "), text)
    rates = report.annotator_noise.values()
    if rates:
        shown.add_row("noise by annotator", f"{min(rates):.3f} to {max(rates):.3f} ({len(rates)} annotators)")
    console = Console(highlight=False)
    console.print(shown)
    console.print(f"Written to {output}", soft_wrap=True, markup=False)
