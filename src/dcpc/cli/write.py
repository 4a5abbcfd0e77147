"""What `dcpc train`, `predict` and `evaluate` do where the task is writing, and the flags that only writing has."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcpc.cli import options
from dcpc.cli.writing_summary import as_json, print_scores, print_training
from dcpc.errors import ModelError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from dcpc.data.splits import Division
    from dcpc.recipe import Recipe
    from dcpc.tasks.write import Generation, Replies, WritingAdapter
    from dcpc.training.checkpoints import Checkpoints

TASK = "write"
"""Its name for `--task`, and in recipes and `task.json`."""
SETTINGS = ("name", "system", "packing")
"""What a recipe can say of it under `task`."""
BATCH_SIZE = 8

System = Annotated[
    str | None, typer.Option(help="Writing: system prompt for chats that have none; kept for prediction.")
]
Packing = Annotated[
    bool | None,
    typer.Option(
        "--packing/--no-packing",
        help="Writing: lay several replies of a writer into one row, where the attention keeps them apart.",
    ),
]
MaxNewTokens = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Writing: tokens of a reply at most; 256 by default, less where the adapter has less room.",
    ),
]
Temperature = Annotated[
    float | None,
    typer.Option(min=0, help="Writing: 0 (default) takes the likeliest token, above it tokens are drawn."),
]
TopP = Annotated[
    float | None, typer.Option(help="Writing: draw from the likeliest tokens that make up this probability.")
]
TopK = Annotated[int | None, typer.Option(min=0, help="Writing: draw from so many likeliest tokens.")]
RepetitionPenalty = Annotated[
    float | None, typer.Option(help="Writing: above 1 makes tokens less likely that were there already.")
]
NumBeams = Annotated[int | None, typer.Option(min=1, help="Writing: replies that are followed at once.")]
GenerationSeed = Annotated[
    int | None, typer.Option(min=0, max=2**32 - 1, help="Writing: seed of drawn tokens; 0 by default.")
]

LARGEST_CROSS = 100_000
"""Replies above which writing every writer's reply to every prompt is refused."""


def taken_apart(
    recipe: Recipe, task: str | None, assignments: Sequence[str]
) -> tuple[Recipe, dict[str, Any] | None]:
    """A recipe without its part about writing; and that part: settings, and whether a length was given.

    Args:
        recipe: as it was read.
        task: from the command line, in place of the recipe's.
        assignments: from the command line.

    Returns:
        The recipe as it was, and None, where the task is another.

    Raises:
        UsageError: there is no such task, or writing has no such setting.
    """
    if (task or recipe.task.get("name")) != TASK:
        if task not in (None, "classify"):
            raise UsageError(f"there is no task `{task}`.", fix="Tasks are: classify, write.")
        return recipe, None
    own = recipe.task if recipe.task.get("name") == TASK else {}
    unknown = [key for key in own if key not in SETTINGS]
    if unknown:
        raise UsageError(
            f"writing has no setting `{unknown[0]}`.", fix=f"Under `task` it has: {', '.join(SETTINGS)}."
        )
    is_given = "max_length" in recipe.model_fields_set or any(
        assignment.startswith("max_length=") for assignment in assignments
    )
    return recipe.model_copy(update={"task": {}}), {**own, "name": TASK, "max_length_given": is_given}


def is_for(adapter: Path) -> bool:
    """Whether an adapter folder was trained to write; quick, as every prediction asks.

    Raises:
        ModelError: there is no such folder.
    """
    if not adapter.is_dir():
        raise ModelError(
            "there is no such adapter folder.", where=adapter, fix="Name a folder that `dcpc train` wrote."
        )
    try:
        content = json.loads((adapter / "task.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("task") == TASK


def refuse(flags: Mapping[str, object], task: str) -> None:
    """Refuse flags that would have no effect.

    Args:
        flags: by name; None where not given.
        task: what they have no effect on.

    Raises:
        UsageError: naming the first that was given.
    """
    for name, value in flags.items():
        if value is not None:
            raise UsageError(f"`{name}` has no effect on {task}.", fix="Leave it out.")


def _generation(given: Mapping[str, Any]) -> Generation:
    from dcpc.tasks.write import Generation

    return Generation(**{name: value for name, value in given.items() if value is not None})


def train(
    data: str,
    output: Path,
    settings: Recipe,
    *,
    system: str | None,
    packing: bool | None,
    columns: str | None,
    format: str | None,
    resume: bool,
    force: bool,
    trust_remote_code: bool,
) -> None:
    """Train an adapter on replies, and print what was done.

    Args:
        data, output, columns, format, resume, force, trust_remote_code: as `dcpc train` takes them.
        settings: checked, with a base model and a seed; its `task` from `taken_apart`.
        system, packing: from the command line, in place of the recipe's; see `train_writers`.
    """
    from dcpc.cli.keeping import kept
    from dcpc.data.splits import left_out_note
    from dcpc.files import check_output_folder
    from dcpc.tasks.write import hold_out_replies, read_replies
    from dcpc.tasks.write.fit import MAX_LENGTH
    from dcpc.training.checkpoints import Checkpoints

    check_output_folder(output, "train", force=force)
    checkpoints = Checkpoints(output)
    checkpoints.check_free(resume=resume, force=force)
    replies = read_replies(data, format=format, columns=options.parse_columns(columns))
    options.show_notes(replies.notes)
    division = hold_out_replies(replies, settings.validation_share, settings.training["seed"])
    options.show_notes(left_out_note(division.left_out, "Prompts"))
    own = {
        "max_length": settings.max_length if settings.task["max_length_given"] else MAX_LENGTH,
        "system": settings.task.get("system") if system is None else system,
        "packing": bool(settings.task.get("packing", False) if packing is None else packing),
    }
    settings = settings.model_copy(update={"task": {"name": TASK}})
    with checkpoints.locked():
        check_output_folder(
            output, "train", force=force
        )  # another training may have ended while this one read
        adapter = _trained(division, settings, own, checkpoints, resume, force, trust_remote_code)
        with kept(checkpoints):
            adapter.save(output, force=force)
        checkpoints.remove()
    options.show_notes(adapter.notes)
    print_training(replies, division, adapter, output)


def _trained(
    division: Division[Replies],
    settings: Recipe,
    own: dict[str, Any],
    checkpoints: Checkpoints,
    resume: bool,
    force: bool,
    trust_remote_code: bool,
) -> WritingAdapter:
    from dcpc.cli.keeping import kept
    from dcpc.tasks.write import train_writers
    from dcpc.training.checkpoints import given_settings

    run = {
        "data": division.train.fingerprint,
        "validation": division.validation and division.validation.fingerprint,
        **given_settings({**settings.model_dump(), **own}),
    }
    with kept(checkpoints):
        checkpoint, notes = checkpoints.begin(run, resume=resume, force=force)
        options.show_notes(notes)
        return train_writers(
            division.train,
            division.validation,
            base_model=settings.model or "",
            method=settings.method,
            adapter=settings.adapter,
            training=settings.training_arguments(),
            checkpoints=checkpoints.folder,
            resume=checkpoint or False,
            trust_remote_code=trust_remote_code,
            **own,
        )


def predict(
    adapter: Path,
    data: str,
    output: Path,
    *,
    annotators: bool,
    generation: Mapping[str, Any],
    columns: str | None,
    format: str | None,
    batch_size: int,
    trust_remote_code: bool,
) -> None:
    """Write replies to the prompts of DATA into a table: every writer's, or the dominant one.

    Args:
        adapter, data, columns, format, batch_size, trust_remote_code: as `dcpc predict` takes them.
        output: file of the table, which was checked.
        annotators: one reply for every writer, instead of one in the dominant style.
        generation: fields of `Generation`; None where not given.
    """
    from rich.console import Console
    from rich.markup import escape

    from dcpc.data.writers import write_table
    from dcpc.tasks.write import load_writing_adapter, read_replies, write_replies

    how = _generation(generation)
    prompts = read_replies(
        data, format=format, columns=options.parse_columns(columns), with_replies=False
    ).answered_once()
    options.show_notes(prompts.notes)
    trained = load_writing_adapter(adapter, trust_remote_code=trust_remote_code)
    table, who = _asked(prompts, trained, annotators)
    notes: list[str] = []
    replies = write_replies(
        trained,
        table.pop("prompt").tolist(),
        who,
        how,
        batch_size=batch_size,
        progress=True,
        notes=notes,
    )
    write_table(table.assign(response=replies), output)
    options.show_notes(notes)
    said = f"{len(table):,} replies to {len(prompts.table):,} prompts are in {output}."
    Console(highlight=False).print(escape(said), soft_wrap=True)


def _asked(
    prompts: Replies, trained: WritingAdapter, annotators: bool
) -> tuple[pd.DataFrame, list[str | None]]:
    """The output's rows without replies, with the prompt as a chat besides, and who shall write each."""
    from dcpc.tasks.write.chats import as_text

    names = [name for name in ("row", "item_id") if name in prompts.table]
    table = prompts.table[[*names, "prompt"]].assign(text=[as_text(prompt) for prompt in prompts.prompts])
    if not annotators:
        return table, [None] * len(table)
    if not trained.writers:
        raise UsageError(
            "the adapter knows no writers, so there is one style only.",
            fix="Use --as consensus, or train on replies of several writers with --method dcpc.",
        )
    n_rows = len(table) * len(trained.writers)
    if n_rows > LARGEST_CROSS:
        raise UsageError(
            f"{len(trained.writers):,} writers on {len(table):,} prompts are {n_rows:,} replies.",
            fix=f"Give fewer prompts at a time: at most {LARGEST_CROSS // len(trained.writers):,}.",
        )
    who = [*trained.writers] * len(table)
    table = table.loc[table.index.repeat(len(trained.writers))].reset_index(drop=True)
    return table.assign(annotator_id=who), list(who)


def evaluate(
    adapter: Path,
    data: str,
    output: Path | None,
    *,
    split: str | None,
    generation: Mapping[str, Any] | None,
    columns: str | None,
    format: str | None,
    batch_size: int,
    trust_remote_code: bool,
) -> None:
    """Compare an adapter with the held-out replies of DATA, and print the figures.

    Args:
        adapter, data, split, columns, format, batch_size, trust_remote_code: as `dcpc evaluate` takes them.
        output: JSON file for the figures, which was checked; None for none.
        generation: fields of `Generation` for the replies that are compared; None for likelihoods alone.
    """
    from dcpc.files import atomic_file
    from dcpc.tasks.write import evaluate_writing, load_writing_adapter, read_replies
    from dcpc.tasks.write.evaluation import check_libraries

    how = None if generation is None else _generation(generation)
    if how is not None:
        check_libraries()
    replies = read_replies(data, format=format, columns=options.parse_columns(columns)).keep_split(split)
    options.show_notes(replies.notes)
    trained = load_writing_adapter(adapter, trust_remote_code=trust_remote_code)
    scores = evaluate_writing(trained, replies, generation=how, batch_size=batch_size, progress=True)
    if output is not None:
        content = {"adapter": str(adapter), "data": data, "split": split, **as_json(scores)}
        with atomic_file(output) as path:
            path.write_text(json.dumps(content, indent=2, allow_nan=False), encoding="utf-8")
    options.show_notes(scores.notes)
    print_scores(f"{adapter} on {len(replies.table):,} replies of {replies.source}", scores)
