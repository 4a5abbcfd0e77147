"""What `dcpc train` prints when it has ended: a table of what was done, and notes on what may be wrong."""

from __future__ import annotations

from math import isfinite, isnan, log
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcpc.cli.options import show_notes

if TYPE_CHECKING:
    from dcpc.adapter import TrainedAdapter
    from dcpc.data import Annotations
    from dcpc.data.splits import Division

LEARNT_NOTHING, DIVERGED = 1.1, 1.5
"""Times the validation cross-entropy of the labels' shares from which on a training has learnt nothing; and times
that or what guessing costs, whichever is more, from which on it has diverged. Neither wrong labels and few
validation items nor a training that is only too short make this much."""


def print_notes(division: Division[Annotations], trained: TrainedAdapter) -> None:
    """Say which items were left out or cut, and whether the adapter predicts no better than none would."""
    from dcpc.data.splits import left_out_note

    show_notes(trained.notes)
    show_notes(left_out_note(division.left_out, "Items"))
    loss = best_loss(trained)
    if loss is None or division.validation is None:
        return
    without = shares_loss(division.train, division.validation, per_judgement=trained.rule.per_judgement)
    shares = f"{without:.4f}, that of always predicting the shares of the training labels"
    if not isfinite(loss) or loss > DIVERGED * max(without, log(division.train.n_classes)):
        show_notes(
            [
                f"The validation cross-entropy of {loss:.4g} is far above {shares}: the training has diverged. "
                "Lower learning_rate, and do not use this adapter."
            ]
        )
    elif loss > LEARNT_NOTHING * without:
        show_notes(
            [
                f"The validation cross-entropy of {loss:.4f} is above {shares}: the adapter has learnt nothing of "
                "use. Train for more epochs (num_train_epochs), or with another learning_rate."
            ]
        )


def print_summary(
    annotations: Annotations, division: Division[Annotations], trained: TrainedAdapter, output: Path
) -> None:
    """The table."""
    print_rows(_rows(annotations, division, trained, output))


def print_rows(rows: dict[str, str]) -> None:
    """A table of names and values."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(show_header=False, box=None)
    for name, value in rows.items():
        table.add_row(name, escape(value))
    Console(highlight=False).print(table)


def _rows(
    annotations: Annotations, division: Division[Annotations], trained: TrainedAdapter, output: Path
) -> dict[str, str]:
    from dcpc.inspection.agreement import krippendorff_alpha

    alpha = krippendorff_alpha(annotations.counts, ordinal=annotations.scale == "ordinal")
    held, left = division.validation, sum(division.left_out.values())
    few = len(annotations.labels) <= 12
    return {
        "Items": f"{division.train.n_items:,} to train on, {held.n_items if held else 0:,} for validation"
        + (f", {left:,} left out" if left else ""),
        "Judgements": f"{annotations.n_judgements:,} in {annotations.source}"
        if annotations.weights is None
        else f"shares of labels of {annotations.n_items:,} items in {annotations.source}",
        "Annotators": f"{len(annotations.annotators):,}" if annotations.has_annotators else "not named",
        "Labels": f"{_label_shares(annotations)} ({annotations.scale})"
        if few
        else f"{annotations.n_classes}",
        "Krippendorff's alpha": f"cannot be told: {_why_no_alpha(annotations)}"
        if isnan(alpha)
        else f"{alpha:.3f}",
        "Method": f"{trained.task.method} on {trained.task.base_model}",
        "Trainable parameters": f"{trained.trainable_parameters:,}",
        "Validation cross-entropy": _loss_shown(division, trained),
        **_rewards_shown(trained),
        "Decides": trained.task.how_it_decides,
        "Training time": f"{trained.seconds:.0f} s",
        "Adapter": str(output),
    }


def _loss_shown(division: Division[Annotations], trained: TrainedAdapter) -> str:
    loss = best_loss(trained)
    if division.validation is None:
        return "no validation items"
    return "not measured" if loss is None else f"{loss:.4f}" if loss < 1e4 else f"{loss:.4g}"


def _rewards_shown(trained: TrainedAdapter) -> dict[str, str]:
    """How rewards fit the votes of the epoch that was kept, where rewards were trained."""
    best = min((entry for entry in trained.history if "eval_margin" in entry), key=_loss_of, default=None)
    if best is None:
        return {}
    accuracy, margin = best["eval_accuracy"], best["eval_margin"]
    return {"Validation rewards": f"right about {accuracy:.1%} of the votes for a side, margin {margin:.3f}"}


def _loss_of(entry: dict[str, Any]) -> float:
    return float(entry["eval_loss"])


def best_loss(trained: TrainedAdapter) -> float | None:
    """The lowest validation loss of the training, that of the epoch that was kept; None where none was measured."""
    losses = [entry["eval_loss"] for entry in trained.history if "eval_loss" in entry]
    return min(losses) if losses else None


def shares_loss(train: Annotations, validation: Annotations, *, per_judgement: bool) -> float:
    """Validation cross-entropy, in nats, of always predicting the shares of the training labels.

    Of votes both sides have the same share: who always lists the better response first has said so in every row.
    """
    import numpy as np

    counts = train.counts.sum(axis=0) + 1.0  # [C]; a label that training lacks is not impossible
    if train.scale == "preference":
        counts[:2] = counts[:2].mean()  # a and b, before tie
    given = validation.counts if per_judgement else validation.soft_labels  # [I, C]
    return float(-(given @ np.log(counts / counts.sum())).sum() / given.sum())


def _label_shares(annotations: Annotations) -> str:
    counts = annotations.counts.sum(axis=0)
    shares = counts / counts.sum()
    return ", ".join(f"{label} {share:.0%}" for label, share in zip(annotations.labels, shares, strict=True))


def _why_no_alpha(annotations: Annotations) -> str:
    several = annotations.counts.sum(axis=1).max() >= 2
    return "only one label was used" if several else "no item has two judgements"
