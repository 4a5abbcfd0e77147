"""`dcpc evaluate`: an adapter against all annotators of held-out items."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcpc.cli import options
from dcpc.errors import UsageError

if TYPE_CHECKING:
    from dcpc.adapters import TrainedAdapter
    from dcpc.data import Annotations


def command(
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER", help="Folder that `dcpc train` wrote.")],
    data: options.Data,
    output: Annotated[Path | None, typer.Option(help="JSON file for the figures.")] = None,
    split: options.Split = None,
    columns: options.Columns = None,
    format: options.Format = None,
    batch_size: options.BatchSize = 64,
    force: options.Force = False,
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Compare predictions with the judgements of DATA: majority, distribution, single annotators."""
    from rich.console import Console
    from rich.table import Table

    from dcpc.adapters import load_adapter
    from dcpc.files import atomic_file
    from dcpc.task import Task
    from dcpc.training.holdout import keep_split

    if output is not None and output.exists() and not force:
        raise UsageError("the output is there already.", where=output, fix="Name a new file, or add --force.")
    task = Task.read(adapter)
    annotations = keep_split(options.read(data, columns, format, task.scale, task.labels), split)
    trained = load_adapter(adapter, trust_remote_code=trust_remote_code)
    figures = evaluate_adapter(trained, annotations, batch_size)
    if output is not None:
        with atomic_file(output) as path:
            path.write_text(
                json.dumps({"adapter": str(adapter), "data": data, "split": split, **figures}, indent=2)
            )
    table = Table(title=f"{adapter} on {annotations.n_items:,} items of {annotations.source}", box=None)
    table.add_column("Metric")
    table.add_column("Value", justify="right")
    for name, value in figures.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else f"{value:.4f}")
    Console(highlight=False).print(table)


def evaluate_adapter(
    trained: TrainedAdapter, annotations: Annotations, batch_size: int = 64
) -> dict[str, float]:
    """Every metric of `dcpc.evaluation` for the predicted distribution, and error rates of single annotators.

    `consensus_annotator_error` predicts the same label for everybody, `annotator_error` each known annotator's
    own; both are means over annotators.
    """
    import numpy as np

    from dcpc.evaluation import evaluate_distribution, per_annotator_error
    from dcpc.prediction import predict_distribution, predict_judgements

    if not annotations.has_annotators:
        probabilities = predict_distribution(trained, annotations.items, batch_size=batch_size, progress=True)
        return evaluate_distribution(probabilities, annotations.counts, annotations.scale)
    probabilities, own = predict_judgements(
        trained,
        annotations.items,
        annotations.item_codes,
        annotations.table["annotator_id"].tolist(),
        batch_size=batch_size,
        progress=True,
    )
    figures = evaluate_distribution(probabilities, annotations.counts, annotations.scale)
    ways = {"consensus_annotator_error": probabilities[annotations.item_codes], "annotator_error": own}
    for name, p in ways.items():
        if p is not None:
            label = p.argmax(axis=1)
            error = per_annotator_error(label, annotations.label_codes, annotations.annotator_codes)
            figures[name] = float(np.nanmean(error))
    return figures
