"""`dcpc train`: from a file of raw annotations to an adapter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcpc.cli import options, write
from dcpc.cli.one_voice import check_alone
from dcpc.cli.reading import DataOptions, reads_data
from dcpc.errors import DCPCError, OutputError, TrainingError, UsageError
from dcpc.files import is_full

if TYPE_CHECKING:
    from dcpc.adapter import TrainedAdapter
    from dcpc.recipe import Recipe
    from dcpc.training.checkpoints import Checkpoints
    from dcpc.training.holdout import Division


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
    shape = _task_flags(task, head, words, template)
    settings = _settings(recipe, flags, shape, set or [])
    # One seed for the held-out items, the start and the order, wherever it was given.
    settings.training["seed"] = settings.training.get("seed", 0) if seed is None else seed
    if settings.task.get("name") == write.TASK:
        check_alone("dcpc train --task write")
        write.refuse({**reading.given_beyond_columns(), "--group-column": group_column}, "writing")
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
        and _adapter_fields(settings).get("annotator_mode") == "none"
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
    with _sole(checkpoints, output, force):
        with _kept(checkpoints):
            trained = _train(division, settings, checkpoints, resume, force, trust_remote_code)
        trained.task = trained.task.model_copy(update={"group_column": group_column})
        if not ranks.is_first():
            return
        with _kept(checkpoints):
            trained.save(output, force=force)
        checkpoints.remove()
    print_summary(annotations, division, trained, output)
    print_notes(division, trained)
    _push(output, push_to_hub)


def _check_output(output: Path, checkpoints: Checkpoints, resume: bool, force: bool) -> None:
    from dcpc.files import check_output_folder

    check_output_folder(output, "train", force=force)
    checkpoints.check(resume=resume, force=force)


@contextmanager
def _sole(checkpoints: Checkpoints, output: Path, force: bool) -> Iterator[None]:
    """A block in which no other training writes to this output; the first process sees to it."""
    from dcpc import ranks
    from dcpc.files import check_output_folder

    if not ranks.is_first():
        yield
        return
    with checkpoints.locked():
        # another training may have ended while this one read
        check_output_folder(output, "train", force=force)
        yield


def _push(output: Path, repo: str | None) -> None:
    if repo is None:
        return
    from dcpc.hub import push

    typer.echo(f"Pushed to {push(output, repo)}")


def _adapter_fields(settings: Recipe) -> dict[str, Any]:
    from dcpc.objective import ObjectiveConfig
    from dcpc.training.carriers import adapter_fields

    objective = ObjectiveConfig.preset(settings.preset, **settings.objective)
    return adapter_fields(settings.preset, objective, settings.adapter)


def _train(
    division: Division,
    settings: Recipe,
    checkpoints: Checkpoints,
    resume: bool,
    force: bool,
    trust_remote_code: bool,
) -> TrainedAdapter:
    from dcpc import ranks
    from dcpc.fit import comparable, train_adapter
    from dcpc.training.checkpoints import describe_run

    given = settings.model_dump()
    given["training"] = comparable(given["training"])
    if settings.method == "dcpc":  # what a preset is may change from one version to the next
        given["adapter"] = _adapter_fields(settings)
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
    )


@contextmanager
def _kept(checkpoints: Checkpoints) -> Iterator[None]:
    """Say after a training that did not end how to go on, and leave no empty folder behind."""
    from dcpc import ranks

    try:
        yield
    except KeyboardInterrupt as stop:
        stop.args = (checkpoints.how_to_go_on(),)  # the same object: it may say which signal it was
        raise
    except OutputError as error:
        go_on = f"{error.fix} {checkpoints.how_to_go_on()}"
        raise OutputError(error.what, where=error.where, fix=go_on) from error
    except DCPCError:
        raise
    except Exception as error:
        if ranks.is_torn(error):
            raise TrainingError(
                "another process of this training has ended, and the rest cannot go on without it.",
                fix=f"The launcher says which one, and how. {checkpoints.how_to_go_on()}",
            ) from error
        if is_full(error):
            fix = f"Make room. {checkpoints.how_to_go_on()}"
            raise OutputError("the disk is full.", where=checkpoints.folder, fix=fix) from error
        # of a library: what users chose with --set reaches far into them
        message = " ".join(str(error).split())[:300]
        raise TrainingError(
            f"the training stopped with {type(error).__name__}: {message}",
            fix=f"Look at --set and the recipe first. {checkpoints.how_to_go_on()}",
        ) from error
    finally:
        if ranks.is_first():
            checkpoints.remove_if_useless()


def _task_flags(
    task: str | None, head: bool | None, words: str | None, template: str | None
) -> dict[str, Any]:
    """Settings of the task shape that flags name."""
    if words is not None:
        head = False if head is None else head
        if head:
            raise UsageError("--head reads no words, so --words has no effect.", fix="Leave one of them out.")
    if head is not None and task not in (None, "classify"):
        raise UsageError(
            f"--head and --label-words are about --task classify, not {task}.", fix="Leave them out."
        )
    given: dict[str, Any] = {}
    if task is not None:
        given["name"] = task
    if head is not None:
        given["name"] = "classify" if head else "label-words"
    if words is not None:
        given["words"] = _words(words)
    if template is not None:
        given["template"] = template.replace("\\n", "\n")
    return given


def _words(text: str) -> dict[str, list[str]]:
    result: dict[str, list[str]] = {}
    for part in options.parse_list(text) or []:
        label, equals, words = part.partition("=")
        if not equals:
            raise UsageError(
                f"`--words {part}` names no label.", fix="Write it as --words 'yes=Yes|Yeah,no=No'."
            )
        result[label.strip()] = [word.strip() for word in words.split("|")]
    return result


def _settings(
    path: Path | None, flags: dict[str, Any], shape: dict[str, Any], assignments: list[str]
) -> Recipe:
    from dcpc.models import located
    from dcpc.recipe import Recipe, check_recipe, override, read_recipe
    from dcpc.training.carriers import CARRIERS

    recipe = read_recipe(path) if path is not None else Recipe()
    recipe = recipe.model_copy(update={name: value for name, value in flags.items() if value is not None})
    shape_name = shape.get("name")
    recipe, writing = write.taken_apart(
        recipe, shape_name if shape_name in (None, write.TASK) else "classify", assignments
    )
    if writing is None:
        # A shape that a flag names has none of another one's settings.
        kept = recipe.task if shape_name in (None, recipe.task.get("name")) else {}
        recipe = recipe.model_copy(update={"task": {**kept, **shape}})
    recipe = override(recipe, assignments)
    if recipe.method not in CARRIERS:
        raise UsageError(f"there is no method `{recipe.method}`.", fix=f"Methods are: {', '.join(CARRIERS)}.")
    if recipe.model is None:
        raise UsageError(
            "no base model was given.",
            fix="Add --model minilm (or smollm2, a Hugging Face id, or a local path).",
        )
    # A path that is mistyped must not wait for the data, nor one be lost that was given from another folder.
    recipe = check_recipe(recipe.model_copy(update={"model": located(recipe.model)}))
    return recipe.model_copy(update={"task": writing or recipe.task})
