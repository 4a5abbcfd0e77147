"""`dcpc train`: from a file of raw annotations to an adapter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcpc.cli import options, write
from dcpc.cli.keeping import kept, sole
from dcpc.cli.one_voice import check_alone
from dcpc.cli.reading import DataOptions, reads_data
from dcpc.cli.training_settings import adapter_fields_of, read_settings, task_flags
from dcpc.errors import UsageError

if TYPE_CHECKING:
    from dcpc.adapter import TrainedAdapter
    from dcpc.data import Annotations
    from dcpc.data.splits import Division
    from dcpc.recipe import Recipe
    from dcpc.training.checkpoints import Checkpoints


@reads_data()
def command(
    data: options.Data,
    output: Annotated[
        Path,
        typer.Option(
            help="Folder for the adapter; new or empty. Until it is written, checkpoints lie beside it, "
            "in OUTPUT-checkpoints."
        ),
    ],
    model: Annotated[
        str | None, typer.Option(help="Base model: Hugging Face id, local path, `minilm` or `smollm2`.")
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="Settings as YAML; flags override them.")] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="What is trained: `classify` (default), `choose` among candidates, `prefer`: rewards of responses "
            "from votes between two (`response_a`, `response_b`), or `write`: replies (`text` or `messages`, and "
            "`response`) in their writers' styles (`annotator_id`)."
        ),
    ] = None,
    head: Annotated[
        bool | None,
        typer.Option(
            "--head/--label-words",
            help="Classify with a new head, or with the language model's own words for the labels (default of causal "
            "models whose labels are words).",
        ),
    ] = None,
    words: Annotated[
        str | None,
        typer.Option(
            metavar="LABEL=WORD|WORD,…",
            help="Words of each label, as yes=Yes|Yeah,no=No; implies --label-words.",
        ),
    ] = None,
    template: Annotated[
        str | None, typer.Option(help="Prompt, with {text}, {text_pair} and {labels} where they belong.")
    ] = None,
    method: Annotated[str | None, typer.Option(help="dcpc (default), lora or p-tuning-v2.")] = None,
    preset: Annotated[str | None, typer.Option(help="Objective: default or paper.")] = None,
    set: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Any setting, e.g. learning_rate=1e-3. Repeatable."),
    ] = None,
    *,
    reading: DataOptions,
    group_column: Annotated[
        str | None,
        typer.Option(
            help="Column with the annotator's group. `dcpc evaluate` predicts an annotator whom training did "
            "not know as their group, where its data have this column."
        ),
    ] = None,
    system: write.System = None,
    packing: write.Packing = None,
    ray: options.Ray = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**32 - 1, help="Seed of everything that is drawn at random; 0 by default."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on from the last whole checkpoint of a cut-off run, in OUTPUT-checkpoints."
        ),
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Replace an adapter that is there already, and checkpoints of a cut-off run."
        ),
    ] = False,
    push_to_hub: Annotated[
        str | None,
        typer.Option(
            metavar="USER/NAME", help="Upload the adapter to this repository of the hub when it is done."
        ),
    ] = None,
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Train an adapter on raw annotations.

    A `split` column decides what trains (train), what chooses the epoch (validation, dev) and what is left out (test,
    eval, anything else).
    """
    from dcpc import ranks
    from dcpc.cli.training_summary import print_notes, print_summary
    from dcpc.tasks.usual import usual_task
    from dcpc.training.checkpoints import Checkpoints
    from dcpc.training.groups import annotator_groups
    from dcpc.training.holdout import hold_out

    ranks.join()
    if push_to_hub is not None:
        from dcpc.hub import check_hub

        check_hub(push_to_hub)  # a missing token must not wait for the training
    flags = {"model": model, "method": method, "preset": preset}
    shape = task_flags(task, head, words, template)
    settings = read_settings(recipe, flags, shape, set or [])
    # One seed for the held-out items, the start and the order, wherever it was given.
    settings.training["seed"] = settings.training.get("seed", 0) if seed is None else seed
    if settings.task.get("name") == write.TASK:
        check_alone("dcpc train --task write")
        write.refuse(
            {**reading.given_beyond_columns(), "--group-column": group_column, "--ray": ray}, "writing"
        )
        write.train(
            data,
            output,
            settings,
            system=system,
            packing=packing,
            columns=reading.columns,
            format=reading.format,
            resume=resume,
            force=force,
            trust_remote_code=trust_remote_code,
        )
        _push(output, push_to_hub)
        return
    write.refuse({"--system": system, "--packing": packing}, "this task")
    by_votes = settings.task.get("name") == "prefer"  # raters act on votes, whatever is trained
    if group_column is not None and settings.method != "dcpc" and not by_votes:
        raise UsageError(
            f"the method {settings.method} knows no annotators, so --group-column has no effect.",
            fix="Leave it out, or train with --method dcpc.",
        )
    if (
        group_column is not None
        and not by_votes
        and adapter_fields_of(settings).get("annotator_mode") == "none"
    ):
        raise UsageError(
            "with annotator_mode=none, which the preset paper has, nothing is learned of annotators, so "
            "--group-column has no effect.",
            fix="Leave it out, or train with the preset default.",
        )
    checkpoints = Checkpoints(output)
    ranks.once(lambda: _check_output(output, checkpoints, resume, force))
    annotations = reading.annotations(data)
    if not settings.task and not settings.adapter.get("readout"):  # a readout is of a head
        settings.task, told = usual_task(
            settings.model or "", annotations, trust_remote_code=trust_remote_code
        )
        options.show_notes(told)
    division = hold_out(annotations, settings.validation_share, settings.training["seed"])
    if group_column is not None:
        settings.adapter["annotator_groups"] = annotator_groups(division.train, group_column)
    with sole(checkpoints, output, force):
        with kept(checkpoints):
            trained = _train(division, settings, checkpoints, resume, force, trust_remote_code, ray)
        trained.task = trained.task.model_copy(update={"group_column": group_column})
        if not ranks.is_first():
            return
        with kept(checkpoints):
            trained.save(output, force=force)
        checkpoints.remove()
    print_summary(annotations, division, trained, output)
    print_notes(division, trained)
    _push(output, push_to_hub)


def _check_output(output: Path, checkpoints: Checkpoints, resume: bool, force: bool) -> None:
    from dcpc.files import check_output_folder

    check_output_folder(output, "train", force=force)
    checkpoints.check_free(resume=resume, force=force)


def _push(output: Path, repo: str | None) -> None:
    if repo is None:
        return
    from dcpc.hub import push

    typer.echo(f"Pushed to {push(output, repo)}")


def _train(
    division: Division[Annotations],
    settings: Recipe,
    checkpoints: Checkpoints,
    resume: bool,
    force: bool,
    trust_remote_code: bool,
    ray: str | None,
) -> TrainedAdapter:
    from dcpc import ranks
    from dcpc.fit import comparable, train_adapter
    from dcpc.training.checkpoints import describe_run

    given = settings.model_dump()
    given["training"] = comparable(given["training"])
    if settings.method == "dcpc":  # what a preset is may change from one version to the next
        given["adapter"] = adapter_fields_of(settings)
    run = describe_run(division.train, division.validation, given)
    checkpoint, notes = ranks.once(lambda: checkpoints.begin(run, resume=resume, force=force))
    options.show_notes(notes)
    return train_adapter(
        division.train,
        division.validation,
        base_model=settings.model or "",
        task=settings.task,
        base_options={
            name: value
            for name, value in (("dtype", settings.dtype), ("quantise", settings.quantise))
            if value is not None
        },
        method=settings.method,
        adapter=settings.adapter,
        training=settings.training_arguments(),
        max_length=settings.max_length,
        checkpoints=checkpoints.folder,
        resume=checkpoint or False,
        trust_remote_code=trust_remote_code,
        ray=ray,
    )
