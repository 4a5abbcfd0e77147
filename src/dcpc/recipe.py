"""Recipes: the settings of a training as YAML, with flags that override them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dcpc.errors import UsageError
from dcpc.names import did_you_mean
from dcpc.plain_yaml import load_yaml
from dcpc.settings import checked, first_problem

VALIDATION_SHARE = 0.1
"""Of the items, held out where the data name no validation items."""

OWN = {
    "output_dir": "checkpoints lie beside --output",
    "resume_from_checkpoint": "--resume does it",
    "objective": "its fields are set one by one, e.g. --set ambiguity_weight=0.1",
    "preset": "--preset does it",
    "remove_unused_columns": "batches need every field",
    "metric_for_best_model": "the validation loss chooses the epoch",
    "greater_is_better": "the validation loss chooses the epoch",
    "label_names": "judgements are read by the objective",
    "labels": "they are those of the data; --labels gives a larger set or another order",
    "annotators": "they are those of the data",
    "annotator_groups": "--group-column names the column that has them",
    "task_type": "the task and the base model decide it",
    "peft_type": "--method chooses it",
    "base_model_name_or_path": "--model chooses it",
    "inference_mode": "an adapter in training is no finished one",
    "auto_mapping": "PEFT writes it",
    "peft_version": "PEFT writes it",
}
"""Fields that `dcpc train` sets itself, and why."""


class Recipe(BaseModel):
    """Everything that `dcpc train` can be told, apart from the data and the output.

    Attributes:
        model: base model.
        task: what is trained, as `{name: label-words, template: …}` (`dcpc.tasks`); empty classifies with a head.
        dtype: number type of the base model; None is what it was saved in.
        quantise: quantise the base model's weights while it is loaded; None leaves them as they are saved.
        method: dcpc, lora or p-tuning-v2.
        preset: objective preset.
        max_length: tokens after which texts are cut.
        validation_share: share of the items held out to choose the best epoch, where the data have no split.
        training: fields of transformers' TrainingArguments.
        objective: fields of the objective to set differently from the preset.
        adapter: fields of the adapter's PEFT configuration.
    """

    model_config = ConfigDict(extra="forbid")

    model: str | None = None
    task: dict[str, Any] = Field(default_factory=dict)
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    quantise: Literal["bnb-4bit", "bnb-8bit", "torchao-int8"] | None = None
    method: str = "dcpc"
    preset: str = "default"
    max_length: int = Field(default=256, gt=0)
    validation_share: float = Field(default=VALIDATION_SHARE, ge=0, lt=1)
    training: dict[str, Any] = Field(default_factory=dict)
    objective: dict[str, Any] = Field(default_factory=dict)
    adapter: dict[str, Any] = Field(default_factory=dict)

    def training_arguments(self) -> dict[str, Any]:
        """Fields of `DCPCTrainingArguments`, the objective among them where the method is DCPC."""
        if self.method != "dcpc":
            return dict(self.training)
        return {"preset": self.preset, "objective": dict(self.objective), **self.training}


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe.

    Raises:
        UsageError: if the file is missing, not YAML, or has a field that is unknown or of the wrong type.
    """
    try:
        content = load_yaml(Path(path).read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise UsageError(
            f"the recipe cannot be read ({error.strerror}).", where=path, fix="Check the path."
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"byte {error.start + 1:,} is not UTF-8 text.", where=path, fix="Save the recipe as UTF-8."
        ) from error
    except ValueError as error:
        raise UsageError(f"the recipe is not YAML: {error}", where=path, fix=_yaml_fix(str(error))) from error
    if not isinstance(content, dict):
        raise UsageError(
            "a recipe is a mapping of settings.", where=path, fix="Write lines such as `method: dcpc`."
        )
    # An empty section, `training:`, has no settings.
    content = {key: {} if value is None and key in _SECTIONS else value for key, value in content.items()}
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        unknown = [str(key) for key in content if key not in Recipe.model_fields]
        if unknown:
            raise _unknown_setting(unknown[0], path) from error
        raise UsageError(first_problem(error, "recipe"), where=path, fix=_shape_fix(error)) from error


_SECTIONS = ("task", "training", "objective", "adapter")
_FLAGS = {
    "labels": "--labels gives them, as --labels no,yes",
    "seed": "it stands under `training:`, or --seed gives it",
    "output": "--output gives it",
    "data": "the data stand on the command line: dcpc train DATA --recipe RECIPE",
    "columns": "--columns gives them, as --columns text=comment",
    "group_column": "--group-column gives it",
}
"""Settings of a training that are no field of a recipe, and where they belong."""


def _fields_of_sections(method: str) -> dict[str, list[str]]:
    """Names of the fields that a section may hold, by section."""
    from dcpc.objective import ObjectiveConfig
    from dcpc.training import DCPCTrainingArguments

    classes = {
        "objective": ObjectiveConfig,
        "training": DCPCTrainingArguments,
        "adapter": adapter_config(method),
    }
    return {section: [field.name for field in fields(cls)] for section, cls in classes.items()}


def _check_sections(recipe: Recipe, path: str | Path | None) -> None:
    """Raises UsageError for a setting that its section does not have, naming the one that has it."""
    known = _fields_of_sections(recipe.method)
    for section, names in known.items():
        for name in getattr(recipe, section):
            if name in names:
                continue
            elsewhere = next((other for other in known if name in known[other]), None)
            raise UsageError(
                f"there is no field `{name}` under `{section}`.",
                where=path,
                fix=f"Write it under `{elsewhere}:`, indented."
                if elsewhere
                else "Write it at the top, not indented."
                if name in Recipe.model_fields
                else did_you_mean(name, names, cutoff=0.6) or None,
            )


def _unknown_setting(name: str, path: str | Path) -> UsageError:
    """What to say of a field that a recipe does not have: where it belongs, or the one that was meant."""
    inside = {field: section for section, names in _fields_of_sections("dcpc").items() for field in names}
    fix = (
        f"Leave it out: {_FLAGS[name]}."
        if name in _FLAGS
        else f"Write it under `{inside[name]}:`, indented."
        if name in inside
        else did_you_mean(name, [*Recipe.model_fields, *inside], cutoff=0.6)
    )
    known = f"Fields are: {', '.join(Recipe.model_fields)}."
    return UsageError(f"a recipe has no field `{name}`.", where=path, fix=fix or known)


def _shape_fix(error: ValidationError) -> str:
    """How a field of the wrong shape is written."""
    first = error.errors()[0]
    field, given = str(first["loc"][0]), first["input"]
    if field == "task" and isinstance(given, str):
        return f"Write it as `task: {{name: {given}}}`."
    if field in _SECTIONS:
        return f"Write its settings below `{field}:`, indented, as `name: value`."
    return f"Fields are: {', '.join(Recipe.model_fields)}."


def _yaml_fix(problem: str) -> str:
    """What to change where YAML cannot be read."""
    if "'\\t'" in problem:
        return "YAML is indented with spaces: replace the tab by them."
    if "another document" in problem:
        return "Remove the line `---`: a recipe is one document."
    return "Write `name: value` lines, sections indented with spaces, comments after `#`."


def override(recipe: Recipe, assignments: Sequence[str]) -> Recipe:
    """A copy of the recipe with `key=value` settings put where they belong.

    A key is a field of the recipe, task, objective, TrainingArguments or adapter, looked for in this order.

    Raises:
        UsageError: if there is no such setting, or an assignment has no `=`.
    """
    from dcpc.tasks import shape_fields

    content = recipe.model_dump()
    sections = _fields_of_sections(_method_of(recipe, assignments))
    shape = shape_fields(recipe.task)
    plain = [name for name in Recipe.model_fields if name not in _SECTIONS]
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(f"`--set {assignment}` has no value.", fix="Write it as --set key=value.")
        value = parse_value(text)
        if key in plain:
            content[key] = value
        elif key in shape:
            content["task"][key] = value
        elif (section := next((each for each in sections if key in sections[each]), None)) is not None:
            content[section][key] = value
        else:
            known = [*plain, *shape, *chain.from_iterable(sections.values())]
            raise UsageError(
                f"there is no setting `{key}`.", fix=did_you_mean(key, known, cutoff=0.6) or None
            )
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise UsageError(first_problem(error, "recipe")) from error


def check_recipe(recipe: Recipe, path: str | Path | None = None) -> Recipe:
    """The recipe with every setting as the type of its field.

    Args:
        recipe: flags and `--set` included.
        path: of the file; `--set` knows where a setting belongs, so one that is in no section it has is of the file.

    Raises:
        UsageError: a setting is unknown, of the wrong type, out of range, set by `dcpc train` itself, or without
            effect because the method is another one.
    """
    from dcpc.objective import ObjectiveConfig
    from dcpc.tasks import task_shape
    from dcpc.training.arguments import checked_arguments

    task_shape(recipe.task)
    for name in (*recipe.training, *recipe.adapter):
        if name in OWN:
            raise UsageError(f"`{name}` cannot be set: {OWN[name]}.", fix="Leave it out.")
    _check_sections(recipe, path)
    objective = checked(ObjectiveConfig, recipe.objective)
    ObjectiveConfig.preset(recipe.preset, **objective)
    if recipe.method != "dcpc" and (objective or recipe.preset not in ("default", "none")):
        what = ", ".join(f"`{name}`" for name in objective) or f"the preset `{recipe.preset}`"
        raise UsageError(
            f"the method {recipe.method} has no objective to set, but {what} was given.",
            fix="Leave it out, or train with --method dcpc.",
        )
    training, adapter = (
        checked_arguments(recipe.training),
        checked(adapter_config(recipe.method), recipe.adapter),
    )
    if recipe.method == "p-tuning-v2" and adapter.get("num_virtual_tokens", 1) < 1:
        raise UsageError("`num_virtual_tokens` must be at least 1.")  # PEFT would train the head alone
    return recipe.model_copy(update={"training": training, "objective": objective, "adapter": adapter})


def adapter_config(method: str) -> type:
    """The class of the PEFT configuration of a method."""
    from peft import LoraConfig, PrefixTuningConfig

    from dcpc.tuner import DCPCConfig

    return {"lora": LoraConfig, "p-tuning-v2": PrefixTuningConfig}.get(method, DCPCConfig)


def _method_of(recipe: Recipe, assignments: Sequence[str]) -> str:
    named = [text for text in assignments if text.startswith("method=")]
    return named[-1].removeprefix("method=") if named else recipe.method


def parse_value(text: str) -> Any:
    """A YAML value, where `no` is a word and 1e-3 a number.

    Raises:
        UsageError: if it is none.
    """
    try:
        return load_yaml(text)
    except ValueError as error:
        raise UsageError(f"`{text}` is not a value: {' '.join(str(error).split())}") from error
