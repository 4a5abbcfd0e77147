"""`dcpc inspect`: see the disagreement before training on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from dcpc.cli import options
from dcpc.cli.reading import DataOptions, reads_data
from dcpc.errors import UsageError

if TYPE_CHECKING:
    from dcpc.inspection import Inspection


MOST_INDENTED = 50_000
"""Items up to which report.json is laid out for reading."""


@reads_data()
def command(
    data: options.Data,
    output: Annotated[Path, typer.Option(help="Folder for report.html and report.json.")],
    *,
    reading: DataOptions,
    texts: Annotated[bool, typer.Option("--texts/--no-texts", help="Show item texts in the report.")] = True,
    pairs: Annotated[
        bool | None,
        typer.Option(
            "--pairs/--no-pairs",
            help="Look for near-duplicates and paraphrases labelled apart; default: among 15,000 items at most.",
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder for embeddings, found again by their text's hash; default: ~/.cache/dcpc."),
    ] = None,
    ray: options.Ray = None,
    seed: options.Seed = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace a folder that is there.")] = False,
) -> None:
    """Report who disagrees with whom, on what, and how much of it is preference."""
    from dcpc.data.pairs import cache_notes, embedding_cache
    from dcpc.files import atomic_folder, check_cache_folder, check_output_folder
    from dcpc.inspection import inspect_annotations, to_json
    from dcpc.inspection.page import inspection_page
    from dcpc.ray_cluster import joined

    if ray is not None and pairs is False:
        raise UsageError("--ray looks for pairs, and --no-pairs says not to.", fix="Leave one of them out.")
    pairs = True if ray is not None else pairs
    check_output_folder(output, "inspect", force=force)
    if cache is not None:
        check_cache_folder(cache)
    elif pairs:
        options.show_notes(cache_notes())
    console, aside = Console(highlight=False), Console(highlight=False, stderr=True)
    with joined(ray) as cluster:  # first, as a cluster that is not there must not wait for the rest
        annotations = reading.annotations(data)
        result = inspect_annotations(
            annotations,
            texts=texts,
            pairs=pairs,
            scale_given=reading.scale is not None or reading.range is not None,
            cache=cache or embedding_cache(),
            seed=seed,
            progress=lambda step: aside.print(f"[dim]{step} …[/]"),
            bars=True,
            cluster=cluster,
        )
    with atomic_folder(output, "inspect", force=force) as folder:
        (folder / "report.html").write_text(inspection_page(result), encoding="utf-8")
        # With an indent Python writes JSON ten times slower, and nobody reads a file of that size.
        indent = 1 if len(result.item_ids) <= MOST_INDENTED else None
        report = json.dumps(to_json(result), ensure_ascii=False, indent=indent)
        (folder / "report.json").write_text(report, encoding="utf-8")
    _print_summary(console, result)
    options.show_notes(
        note for note in result.notes if note not in annotations.notes
    )  # the others were shown
    console.print(f"Report: {output / 'report.html'}", soft_wrap=True, markup=False)


def _print_summary(console: Console, result: Inspection) -> None:
    from rich.markup import escape

    from dcpc.inspection import wording
    from dcpc.report.page import format_count, format_number, format_percent

    overlap, agreement = result.overlap, result.agreement
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    interval = ""
    if agreement.alpha_low is not None:
        interval = f" [{format_number(agreement.alpha_low)}, {format_number(agreement.alpha_high)}]"
    rows = [
        (
            "judgements / items / annotators",
            f"{overlap.judgements:,} / {overlap.items:,} / {overlap.annotators:,}",
        ),
        ("labels", f"{overlap.classes} ({result.scale})"),
        (f"alpha ({agreement.metric})", f"{format_number(agreement.alpha)}{interval}"),
        ("pairwise agreement", format_percent(agreement.pairwise, 1)),
        ("unanimous items", format_percent(result.entropy.unanimous)),
        ("groups found", _groups(result)),
        ("consensus models differ on", _differing(result)),
        ("conflict pairs listed", format_count(len(result.conflicts))),
    ]
    for name, value in rows:
        table.add_row(name, escape(value))
    console.print(table)
    verb = "Alpha" if agreement.alpha is None else "Alpha is"
    console.print(escape(f"{verb} {wording.read_alpha(agreement, overlap)}."), soft_wrap=True)
    console.print(escape(wording.verdict(result.decomposition)), soft_wrap=True)
    if result.preferences is not None:
        console.print(escape(" ".join(wording.preference_sentences(result.preferences))), soft_wrap=True)
    console.print(f"[dim]{escape(result.scale_reason)}[/]", soft_wrap=True)


def _groups(result: Inspection) -> str:
    from dcpc.inspection import wording

    found = ", ".join(f"{len(members):,}" for members in result.groups.members)
    return ". ".join(
        filter(None, [found or f"none: {result.groups.reason}", wording.sample_of_groups(result.groups)])
    )


def _differing(result: Inspection) -> str:
    from dcpc.data.raw import count

    if len(result.consensus.labels.columns) < 2:
        return "cannot be told: " + (" ".join(result.consensus.notes) or "there is one model only")
    return count(result.consensus.differ, "item")
