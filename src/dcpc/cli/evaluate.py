"""`dcpc evaluate`: an adapter against all annotators of held-out items."""

from __future__ import annotations

import json
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcpc.cli import options
from dcpc.errors import LabelError

if TYPE_CHECKING:
    import numpy as np

    from dcpc.adapters import TrainedAdapter
    from dcpc.data import Annotations
    from dcpc.task import Task


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
    """Compare predictions with the judgements of DATA: majority, distribution, single annotators.

    Annotators whom training did not know are predicted as anybody; or as their group, where the adapter was trained
    with --group-column and DATA has that column.
    """
    from dcpc.adapters import load_adapter
    from dcpc.data.splits import keep_split
    from dcpc.files import atomic_file, check_output_file
    from dcpc.task import Task

    if output is not None:
        check_output_file(output, force=force)
    task = Task.read(adapter)
    annotations = keep_split(_read(data, columns, format, task), split)
    trained = load_adapter(adapter, trust_remote_code=trust_remote_code)
    options.show_notes(_strangers(trained, annotations))
    figures = evaluate_adapter(trained, annotations, batch_size)
    if output is not None:
        # JSON has no word for a number that does not exist, such as the accuracy where every item is tied.
        known = {name: value if isfinite(value) else None for name, value in figures.items()}
        content = {"adapter": str(adapter), "data": data, "split": split, **known}
        with atomic_file(output) as path:
            path.write_text(json.dumps(content, indent=2, allow_nan=False), encoding="utf-8")
    _print(f"{adapter} on {annotations.n_items:,} items of {annotations.source}", figures)


def _read(data: str, columns: str | None, format: str | None, task: Task) -> Annotations:
    """The judgements of DATA, whose labels must be those that the adapter knows."""
    try:
        return options.read(data, columns, format, task.scale, task.labels)
    except LabelError as error:
        # The reader's advice is for those who may choose the labels.
        raise LabelError(
            error.what,
            where=error.where,
            fix="The adapter can only be compared on the labels that it was trained with: correct the label, or "
            "remove the rows.",
        ) from error


def _strangers(trained: TrainedAdapter, annotations: Annotations) -> list[str]:
    """A note on annotators of whom the adapter knows nothing, where it knows others."""
    if not annotations.has_annotators:
        return []
    numbers = trained.rule.annotator_index(trained.model, _asked(trained, annotations))
    if numbers is None:
        return []
    ids = annotations.table["annotator_id"]
    strange = ids[(numbers < 0).cpu().numpy() & ids.notna()]  # judgements without an id are nobody's error
    if strange.empty:
        return []
    return [
        f"{strange.nunique():,} of {ids.nunique():,} annotators, with {len(strange):,} of {ids.count():,} "
        "judgements, were unknown in training: annotator_error predicts them as anybody."
    ]


def _asked(trained: TrainedAdapter, annotations: Annotations) -> list[str]:
    """Whom to predict for each of J judgements: its annotator, or the stand-in of their group."""
    from dcpc.training.groups import known_or_stand_in

    config = getattr(trained.model, "active_peft_config", None)
    known = getattr(config, "annotators", None) or []
    return known_or_stand_in(annotations, trained.task.group_column, known)


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


def evaluate_adapter(
    trained: TrainedAdapter, annotations: Annotations, batch_size: int = 64
) -> dict[str, float]:
    """Every metric of `dcpc.evaluation` for the predicted distribution, and error rates of single annotators.

    `expected_jensen_shannon` is the part of the divergence that a right prediction would keep on these judgements.
    `consensus_annotator_error` predicts the same label for everybody, `annotator_error` each known annotator's
    own, and for others that of their group, where the data have the column with which the adapter was trained;
    both are means over annotators.

    Raises:
        UsageError: if the items do not have the columns that training saw.
    """
    from dcpc.evaluation import evaluate_distribution
    from dcpc.evaluation.distribution import expected_jensen_shannon
    from dcpc.prediction import predict_distribution, predict_judgements

    own = None
    if annotations.has_annotators:
        probabilities, own = predict_judgements(
            trained,
            annotations.items,
            annotations.item_codes,
            _asked(trained, annotations),
            batch_size=batch_size,
            progress=True,
        )
    else:
        probabilities = predict_distribution(trained, annotations.items, batch_size=batch_size, progress=True)
    figures = evaluate_distribution(probabilities, annotations.counts, annotations.scale)
    items = {name: int(figures.pop(name)) for name in ("items", "ties")}
    expected = expected_jensen_shannon(probabilities, annotations.counts.sum(axis=1))
    figures |= {"expected_jensen_shannon": float(expected.mean())} | items
    if annotations.has_annotators:
        figures["consensus_annotator_error"] = _mean_error(probabilities[annotations.item_codes], annotations)
    if own is not None:
        figures["annotator_error"] = _mean_error(own, annotations)
    return figures


def _mean_error(probabilities: np.ndarray, annotations: Annotations) -> float:
    """Mean over annotators of how often the most probable label of a judgement [J, C] is not the one given."""
    import numpy as np

    from dcpc.evaluation import per_annotator_error

    label = probabilities.argmax(axis=1)
    error = per_annotator_error(label, annotations.label_codes, annotations.annotator_codes)
    return float(np.nanmean(error)) if np.isfinite(error).any() else float("nan")
