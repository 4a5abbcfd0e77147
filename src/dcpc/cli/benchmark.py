"""`dcpc benchmark`: methods compared on one's own annotations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dcpc.cli import options
from dcpc.errors import UsageError


def command(
    data: options.Data,
    output: Annotated[Path, typer.Option(help="Folder for results; a stopped run goes on there.")],
    model: Annotated[
        str, typer.Option(help="Base model: Hugging Face id, local path, or `minilm`.")
    ] = "minilm",
    methods: Annotated[
        str, typer.Option(help="Comma-separated; the first is compared with each of the others.")
    ] = "dcpc,lora,lora-majority,p-tuning-v2,linear-probe",
    budgets: Annotated[
        str, typer.Option(help="Annotations per item in training: 1, all, or both.")
    ] = "1,all",
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds (splits, draws, training).")] = 3,
    epochs: Annotated[float, typer.Option(help="Epochs of training.")] = 5,
    learning_rates: Annotated[
        str, typer.Option(help="Grid, low to high; chosen per run on noisy validation labels.")
    ] = "3e-4,1e-3,3e-3",
    columns: options.Columns = None,
    format: options.Format = None,
    scale: options.Scale = None,
    labels: options.Labels = None,
) -> None:
    """Compare methods on DATA: same splits, same search, several seeds, tested differences."""
    from rich.console import Console
    from rich.markdown import Markdown

    from dcpc.benchmark.methods import Settings
    from dcpc.benchmark.runner import check_methods, run_benchmark

    names = options.parse_list(methods) or []
    check_methods(names)
    settings = Settings(model, epochs, _rates(learning_rates))
    chosen = _budgets(budgets)
    annotations = options.read(data, columns, format, scale, options.parse_list(labels))
    run_benchmark(annotations, settings, output, methods=names, budgets=chosen, n_seeds=seeds)
    Console().print(Markdown((output / "results.md").read_text()))


def _rates(text: str) -> tuple[float, ...]:
    try:
        rates = tuple(sorted(float(word) for word in text.split(",")))
    except ValueError as error:
        raise UsageError(f"`{text}` is no list of learning rates", fix="Write it as 3e-4,1e-3.") from error
    if min(rates) <= 0:
        raise UsageError("learning rates must be above 0")
    return rates


def _budgets(text: str) -> list:
    known = {"1": 1, "all": "all"}
    words = options.parse_list(text) or []
    if not words or any(word not in known for word in words):
        raise UsageError(f"`{text}` is no budget", fix="Write 1, all, or 1,all.")
    return [known[word] for word in words]
