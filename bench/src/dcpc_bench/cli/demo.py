"""`dcpc-bench demo`: three methods on generated reviews, on an encoder or a language model, against clean labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from dcpc_bench.report.comparisons import Difference
    from dcpc_bench.report.content import Content

MOST_WORKERS = 4
"""Trainings side by side; each holds a base model of its own."""
MOST_ITEMS = 640
"""Training reviews, of those that are generated."""


def command(
    output: Annotated[Path, typer.Option(help="Folder for results; a stopped run goes on there.")] = Path(
        "demo"
    ),
    seeds: Annotated[
        int | None, typer.Option(min=1, max=20, help="Trainings per method. [default: 3; with --llm 2]")
    ] = None,
    items: Annotated[
        int | None,
        typer.Option(min=48, max=640, help="Training reviews. [default: 640; with --llm 80]"),
    ] = None,
    llm: Annotated[
        bool, typer.Option("--llm", help="On the causal language model smollm2, with label words.")
    ] = False,
) -> None:
    """Compare P-Tuning v2, LoRA and DCPC on generated reviews that simulated annotators disagree on."""
    import os
    import time

    from rich import console as rich_console

    from dcpc.models import minilm_path
    from dcpc.models.smollm2 import smollm2_path
    from dcpc_bench.rig.suite import load_suite

    # A missing base model must be told before anything is generated.
    (smollm2_path if llm else minilm_path)()
    name = "demo-llm" if llm else "demo"
    suite = load_suite(name)
    seeds, items = seeds or suite.seeds, items or suite.caps.train or MOST_ITEMS
    console = rich_console.Console(highlight=False)
    console.print(f"{items} reviews, one label each from 12 annotators; 3 methods, {seeds} seed(s).")
    started = time.perf_counter()
    run_demo(output, seeds, items, min(os.cpu_count() or 1, MOST_WORKERS), console, name)
    console.print(
        f"Took {time.perf_counter() - started:.0f} s. Open the page: {output / 'report.html'}", soft_wrap=True
    )


def run_demo(
    output: Path, seeds: int, items: int, workers: int, console: Console, name: str = "demo"
) -> None:
    """Run a suite of the demo, write its report, and print the means and who won.

    Args:
        output: the store's folder.
        seeds: trainings per method.
        items: training reviews.
        workers: trainings at a time; 0 runs them in this process.
        console: rich's, to print on.
        name: of the suite, `demo` or `demo-llm`.

    Raises:
        UsageError: the folder holds something else.
    """
    from dcpc.errors import UsageError
    from dcpc_bench.report import write_report
    from dcpc_bench.rig import overview
    from dcpc_bench.rig.runner import run_suite
    from dcpc_bench.rig.suite import load_suite, make_suite

    if output.is_dir() and any(output.iterdir()) and not (output / "plan.json").exists():
        raise UsageError("the folder is not empty.", where=output, fix="Choose a new --output.")
    content = load_suite(name).model_dump()
    suite = make_suite(content | {"seeds": seeds, "caps": content["caps"] | {"train": items}})
    records = run_suite(suite, output, workers=workers)
    made = write_report(output, reference=suite.reference)
    console.print(overview.results(suite, records.values()))
    console.print(statement_of(made), style="bold")


def statement_of(content: Content) -> str:
    """Who is ahead in accuracy on the clean labels, in plain words."""
    table = next(t for t in content.tables if t.metric.name == "accuracy")
    means = dict(zip(table.methods, table.overall, strict=True))
    return winner_statement(means, table.pooled, content.reference)


def winner_statement(accuracy: dict[str, float], differences: list[Difference], reference: str) -> str:
    """One or two sentences: whether the reference won, and whether the seeds and items suffice to say so.

    Args:
        accuracy: mean by method.
        differences: the reference against each other method.
        reference: its name.
    """
    best = max((name for name in accuracy if name != reference), key=lambda name: accuracy[name])
    ours, theirs = accuracy[reference], accuracy[best]
    against = next(d.result for d in differences if d.other == best)
    bounds = f"{_points(against.low, unit=False)} to {_points(against.high)}"
    interval = f"{_points(against.difference)}, 95 % interval {bounds}"
    scores = f"{100 * ours:.1f} % of the clean test labels right, {best} {100 * theirs:.1f} %"
    if abs(ours - theirs) < 1e-9:
        return f"{reference} did not win: it and {best} tie. {reference} got {scores} ({interval})."
    if ours < theirs:
        firm = "" if against.high < 0 else " The interval includes zero, so this may be luck."
        return f"{reference} did not win: {best} is ahead. {reference} got {scores} ({interval}).{firm}"
    unsure = [d.other for d in differences if d.result.low <= 0]
    if not unsure:
        return f"{reference} won: it got {scores} ({interval})."
    return (
        f"{reference} has the highest mean, but its lead over {' and '.join(unsure)} is within the range of luck: "
        f"it got {scores} ({interval})."
    )


def _points(difference: float, *, unit: bool = True) -> str:
    return f"{100 * difference:+.1f}{' points' if unit else ''}".replace("-", "−")
