"""What `dcpc train` and `dcpc evaluate` print and write where replies were learned."""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcpc.cli.training_summary import print_rows

if TYPE_CHECKING:
    from dcpc.data.splits import Division
    from dcpc.tasks.write import Replies, WritingAdapter, WritingScores
    from dcpc.tasks.write.evaluation import WriterScores

FIGURES = {
    "n_replies": ("replies", "{:,}"),
    "nll": ("NLL", "{:.4f}"),
    "nll_dominant": ("nobody's", "{:.4f}"),
    "chrf": ("chrF", "{:.1f}"),
    "rouge1": ("R-1", "{:.3f}"),
    "rouge_l": ("R-L", "{:.3f}"),
    "style_accuracy": ("style", "{:.1%}"),
}
"""How figures are called in the table, and written."""


def print_training(
    replies: Replies, division: Division[Replies], adapter: WritingAdapter, output: Path
) -> None:
    """The table of a training, `division` being what trained and what was held out."""
    held_out = [entry["eval_loss"] for entry in adapter.history if "eval_loss" in entry]
    rows = {
        "data": f"{len(replies.table):,} replies to {replies.n_items:,} prompts by {len(replies.writers):,} writers",
        "base model": adapter.task.base_model,
        "method": adapter.task.method,
        "trained": f"{adapter.trainable_parameters:,} numbers on {len(division.train.table):,} replies "
        f"in {adapter.seconds:.0f} s",
    }
    if held_out and division.validation is not None:
        rows["validation"] = (
            f"NLL per token {min(held_out):.4f} on {len(division.validation.table):,} held-out replies"
        )
    rows["adapter"] = str(output)
    print_rows(rows)


def as_json(scores: WritingScores) -> dict[str, Any]:
    """Scores as the JSON of `dcpc evaluate --output` has them."""

    def known(figures: WriterScores) -> dict[str, Any]:
        # JSON has no word for a number that does not exist.
        return {
            name: value if value is None or isfinite(value) else None
            for name, value in asdict(figures).items()
        }

    return {
        **known(scores.overall),
        "style_ceiling": scores.style_ceiling,
        "writers": {name: known(figures) for name, figures in scores.writers.items()},
    }


def print_scores(title: str, scores: WritingScores) -> None:
    """The table of an evaluation, a row per writer, and what its columns are."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = {name: how for name, how in FIGURES.items() if getattr(scores.overall, name) is not None}
    console = Console(highlight=False, soft_wrap=True)
    console.print(escape(title))
    table = Table(box=None)
    table.add_column("", overflow="fold")
    for label, _ in shown.values():
        table.add_column(label, justify="right")
    for who, figures in {"all": scores.overall, **scores.writers}.items():
        values = [(getattr(figures, name), how) for name, (_, how) in shown.items()]
        table.add_row(escape(who), *("-" if value is None else how.format(value) for value, how in values))
    console.print(table)
    console.print(
        "NLL: per token, as the writer's and as nobody's. R-1, R-L: ROUGE. style: right by a classifier."
    )
    if scores.style_ceiling is not None:
        console.print(
            f"The classifier of styles is right about {scores.style_ceiling:.1%} of the held-out replies themselves."
        )
