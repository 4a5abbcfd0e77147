"""Recipes: the settings of a training as YAML, with flags that override them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dcpc.errors import UsageError


class Recipe(BaseModel):
    """Everything that `dcpc train` can be told, apart from the data and the output.

    Attributes:
        model: base model.
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
    method: str = "dcpc"
    preset: str = "default"
    max_length: int = Field(default=256, gt=0)
    validation_share: float = Field(default=0.1, ge=0, lt=1)
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
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise UsageError(f"the recipe cannot be read ({error.strerror}).", where=path) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"the recipe is not YAML: {error}", where=path) from error
    if not isinstance(content, dict):
        raise UsageError(
            "a recipe is a mapping of settings.", where=path, fix="Write lines such as `method: dcpc`."
        )
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"`{name}`: {first['msg'].lower()}.",
            where=path,
            fix=f"Fields are: {', '.join(Recipe.model_fields)}.",
        ) from error


def override(recipe: Recipe, assignments: Sequence[str]) -> Recipe:
    """A copy of the recipe with `key=value` settings put where they belong.

    A key is a field of the recipe, the objective, TrainingArguments or the adapter, looked for in this order.

    Raises:
        UsageError: if there is no such setting, or an assignment has no `=`.
    """
    from dcpc.objective import ObjectiveConfig
    from dcpc.training import DCPCTrainingArguments

    content = recipe.model_dump()
    objective = [f.name for f in fields(ObjectiveConfig)]
    training = [f.name for f in fields(DCPCTrainingArguments)]
    adapter = adapter_fields(recipe.method)
    plain = [name for name in Recipe.model_fields if name not in ("training", "objective", "adapter")]
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(f"`--set {assignment}` has no value.", fix="Write it as --set key=value.")
        value = parse_value(text)
        if key in plain:
            content[key] = value
        elif key in objective:
            content["objective"][key] = value
        elif key in training:
            content["training"][key] = value
        elif key in adapter:
            content["adapter"][key] = value
        else:
            near = difflib.get_close_matches(key, [*plain, *objective, *training, *adapter], n=3)
            raise UsageError(
                f"there is no setting `{key}`.", fix=f"Did you mean {' or '.join(near)}?" if near else None
            )
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"`{'.'.join(map(str, first['loc']))}`: {first['msg'].lower()}.") from error


def adapter_fields(method: str) -> list[str]:
    """Fields of the PEFT configuration of a method."""
    from peft import LoraConfig, PrefixTuningConfig

    from dcpc.tuner import DCPCConfig

    config = {"lora": LoraConfig, "p-tuning-v2": PrefixTuningConfig}.get(method, DCPCConfig)
    return [f.name for f in fields(config)]


def parse_value(text: str) -> Any:
    """A YAML value; numbers such as 1e-3, which YAML takes for words, are numbers here."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"`{text}` is not a value: {error}") from error
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
