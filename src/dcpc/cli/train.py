"""`dcpc train`: from a file of raw annotations to an adapter."""

from __future__ import annotations

import shutil
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcpc.cli import options
from dcpc.errors import UsageError

if TYPE_CHECKING:
    from dcpc.adapters import TrainedAdapter
    from dcpc.data import Annotations
    from dcpc.recipe import Recipe


def command(
    data: options.Data,
    output: Annotated[Path, typer.Option(help="Folder for the adapter; new or empty.")],
    model: Annotated[
        str | None, typer.Option(help="Base model: Hugging Face id, local path, or `minilm`.")
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="Settings as YAML; flags override them.")] = None,
    method: Annotated[str | None, typer.Option(help="dcpc (default), lora or p-tuning-v2.")] = None,
    preset: Annotated[str | None, typer.Option(help="Objective: default or paper.")] = None,
    set: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Any setting, e.g. learning_rate=1e-3. Repeatable."),
    ] = None,
    columns: options.Columns = None,
    format: options.Format = None,
    scale: options.Scale = None,
    labels: options.Labels = None,
    group_column: Annotated[
        str | None,
        typer.Option(help="Column with the annotator's group, to which unknown annotators fall back."),
    ] = None,
    seed: options.Seed = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint of a cut-off run.")
    ] = False,
    force: options.Force = False,
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Train an adapter on raw annotations."""
    from dcpc.files import atomic_folder, check_output_folder
    from dcpc.fit import METHODS, train_adapter
    from dcpc.training.holdout import hold_out

    settings = _settings(recipe, model, method, preset, set or [])
    if settings.method not in METHODS:
        raise UsageError(
            f"there is no method `{settings.method}`.", fix=f"Methods are: {', '.join(METHODS)}."
        )
    check_output_folder(output, force=force)
    annotations = options.read(data, columns, format, scale, options.parse_list(labels))
    train, validation = hold_out(annotations, settings.validation_share, seed)
    adapter = dict(settings.adapter)
    if group_column is not None:
        adapter["annotator_groups"] = _groups(train, group_column)
    checkpoints = output.parent / f"{output.name}-checkpoints"
    with atomic_folder(output, force=force) as folder:
        trained = train_adapter(
            train,
            validation,
            base_model=settings.model or "",
            method=settings.method,
            adapter=adapter,
            training={"seed": seed, **settings.training_arguments()},
            max_length=settings.max_length,
            checkpoints=checkpoints,
            resume=resume and checkpoints.is_dir(),
            trust_remote_code=trust_remote_code,
        )
        trained.save(folder)
    shutil.rmtree(checkpoints, ignore_errors=True)
    _summarise(annotations, train, validation, trained, output)


def _settings(
    path: Path | None, model: str | None, method: str | None, preset: str | None, assignments: list[str]
) -> Recipe:
    from dcpc.recipe import Recipe, override, read_recipe

    recipe = read_recipe(path) if path is not None else Recipe()
    flags = {"model": model, "method": method, "preset": preset}
    recipe = recipe.model_copy(update={name: value for name, value in flags.items() if value is not None})
    recipe = override(recipe, assignments)
    if recipe.model is None:
        raise UsageError(
            "no base model was given.", fix="Add --model minilm, a Hugging Face id, or a local path."
        )
    return recipe


def _groups(annotations: Annotations, column: str) -> dict[str, str]:
    if column not in annotations.table or not annotations.has_annotators:
        found = ", ".join(map(str, annotations.table.columns))
        raise UsageError(f"there is no group column `{column}`.", fix=f"Columns are: {found}.")
    pairs = annotations.table[["annotator_id", column]].dropna().drop_duplicates("annotator_id")
    return dict(zip(pairs["annotator_id"], pairs[column].astype(str), strict=True))


def _summarise(
    annotations: Annotations,
    train: Annotations,
    validation: Annotations | None,
    trained: TrainedAdapter,
    output: Path,
) -> None:
    from rich.console import Console
    from rich.table import Table

    from dcpc.inspection.agreement import krippendorff_alpha

    alpha = krippendorff_alpha(annotations.counts, ordinal=annotations.scale == "ordinal")
    losses = [entry["eval_loss"] for entry in trained.history if "eval_loss" in entry]
    shares = ", ".join(
        f"{label} {share:.0%}"
        for label, share in zip(annotations.labels, _label_shares(annotations), strict=True)
    )
    rows = {
        "Items": f"{train.n_items:,} to train on, {validation.n_items if validation else 0:,} for validation",
        "Judgements": f"{annotations.n_judgements:,} in {annotations.source}",
        "Annotators": f"{len(annotations.annotators):,}" if annotations.has_annotators else "not named",
        "Labels": f"{shares} ({annotations.scale})"
        if len(annotations.labels) <= 12
        else f"{annotations.n_classes}",
        "Krippendorff's alpha": "cannot be told: no item has two judgements"
        if isnan(alpha)
        else f"{alpha:.3f}",
        "Method": f"{trained.task.method} on {trained.task.base_model}",
        "Trainable parameters": f"{trained.trainable_parameters:,}",
        "Validation cross-entropy": f"{min(losses):.4f}" if losses else "no validation items",
        "Training time": f"{trained.seconds:.0f} s",
        "Adapter": str(output),
    }
    table = Table(show_header=False, box=None)
    for name, value in rows.items():
        table.add_row(name, value)
    Console(highlight=False).print(table)


def _label_shares(annotations: Annotations) -> list[float]:
    counts = annotations.counts.sum(axis=0)
    return list(counts / counts.sum())
