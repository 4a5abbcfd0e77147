"""The settings of `dcpc train`: flags and `--set` over a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcpc.cli import options, write
from dcpc.errors import UsageError

if TYPE_CHECKING:
    from dcpc.recipe import Recipe


def read_settings(
    path: Path | None, flags: dict[str, Any], shape: dict[str, Any], assignments: list[str]
) -> Recipe:
    """The settings of a training: a recipe, with what the command line says instead.

    Args:
        path: of the recipe; None for none.
        flags: fields of the recipe that have flags of their own; None where not given.
        shape: see `task_flags`.
        assignments: of `--set`.

    Raises:
        UsageError: a setting is unknown or does not fit the others, or there is no base model.
    """
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
        if "template" in shape and not (shape_name or kept):
            shape = {"name": "label-words", **shape}  # the only form of the default task that has a prompt
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
    recipe = check_recipe(recipe.model_copy(update={"model": located(recipe.model)}), path)
    return recipe.model_copy(update={"task": writing or recipe.task})


def task_flags(
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
        given["words"] = _words_of_labels(words)
    if template is not None:
        given["template"] = template.replace("\\n", "\n")
    return given


def _words_of_labels(text: str) -> dict[str, list[str]]:
    result: dict[str, list[str]] = {}
    for part in options.parse_list(text) or []:
        label, equals, words = part.partition("=")
        if not equals:
            raise UsageError(
                f"`--words {part}` names no label.", fix="Write it as --words 'yes=Yes|Yeah,no=No'."
            )
        result[label.strip()] = [word.strip() for word in words.split("|")]
    return result


def adapter_fields_of(settings: Recipe) -> dict[str, Any]:
    """Fields of `DCPCConfig`, those of the preset included."""
    from dcpc.objective import ObjectiveConfig
    from dcpc.training.carriers import adapter_fields

    objective = ObjectiveConfig.preset(settings.preset, **settings.objective)
    return adapter_fields(settings.preset, objective, settings.adapter)
