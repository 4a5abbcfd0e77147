"""`dcpc-bench demo`: three methods on generated reviews, compared on clean labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcpc.cli import options

if TYPE_CHECKING:
    from rich.table import Table

    from dcpc_bench.demo.results import Results


def command(
    output: Annotated[Path, typer.Option(help="Folder for adapters, predictions and the page.")] = Path(
        "demo"
    ),
    force: options.Force = False,
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Trainings per method.")] = 3,
    items: Annotated[int, typer.Option(min=48, max=20_000, help="Training reviews.")] = 640,
) -> None:
    """Compare P-Tuning v2, LoRA and DCPC on generated reviews that simulated annotators disagree on."""
    import time

    from rich.console import Console

    from dcpc.files import check_output_folder

    check_output_folder(output, "demo", force=force)
    console = Console(highlight=False)
    console.print(f"{items} reviews, one label each from 12 annotators; 3 methods, {seeds} seed(s).")
    started = time.perf_counter()

    from dcpc.models import minilm_path
    from dcpc_bench.demo.demo import run_demo

    minilm_path()  # a missing base model must be told before anything is generated
    results = run_demo(output, items=items, n_seeds=seeds, console=console, force=force)
    console.print(summary_table(results))
    console.print(results.statement, style="bold")
    console.print(
        f"Took {time.perf_counter() - started:.0f} s. Open the page: {output / 'report.html'}", soft_wrap=True
    )


def summary_table(results: Results) -> Table:
    """The comparison for the terminal, one row per method."""
    from rich.table import Table

    table = Table(title="Accuracy on clean test labels, %")
    for name in ("Method", "Mean", "95 % interval", "Every seed", "Parameters", "Seconds"):
        table.add_column(name, justify="left" if name == "Method" else "right")
    for own in results.summary.to_dict("records"):
        seeds = results.runs.loc[results.runs["method"] == own["method"], "accuracy"]
        table.add_row(
            own["method"],
            f"{100 * own['accuracy']:.1f}",
            f"{100 * own['low']:.1f}–{100 * own['high']:.1f}",
            "  ".join(f"{100 * accuracy:.1f}" for accuracy in seeds),
            f"{own['trainable_parameters']:,}",
            f"{own['seconds']:.0f}",
        )
    return table
