"""Task shapes: what an item is to a model, and where its logits come from. See `dcpc.tasks.base` to add one."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from dcpc.errors import UsageError
from dcpc.names import check_name
from dcpc.settings import first_problem
from dcpc.tasks.base import Encoded, Scored, TaskShape
from dcpc.tasks.choose import Choose
from dcpc.tasks.classify import Classify, tokenize_items
from dcpc.tasks.label_words import LabelWords
from dcpc.tasks.prefer import Prefer

SHAPES: dict[str, type[TaskShape]] = {
    shape.model_fields["name"].default: shape for shape in (Classify, LabelWords, Choose, Prefer)
}
"""All task shapes by name."""


def task_shape(settings: Mapping[str, Any] | None) -> TaskShape:
    """The shape that settings describe: `{"name": "label-words", "template": "…"}`; None for a classification head.

    Raises:
        UsageError: there is no such shape or setting.
    """
    settings = settings or {}
    name = settings.get("name", "classify")
    check_name(str(name), list(SHAPES), "task")
    try:
        return SHAPES[name].model_validate(dict(settings))
    except ValidationError as error:
        raise UsageError(
            first_problem(error, "task"),
            fix=f"Settings of {name} are: {', '.join(SHAPES[name].model_fields)}.",
        ) from error


def shape_fields(settings: Mapping[str, Any]) -> list[str]:
    """The names of a shape's own settings.

    Raises:
        UsageError: there is no such shape.
    """
    name = str(settings.get("name", "classify"))
    check_name(name, list(SHAPES), "task")
    return [field for field in SHAPES[name].model_fields if field != "name"]


__all__ = [
    "SHAPES", "Choose", "Classify", "Encoded", "LabelWords", "Prefer", "Scored", "TaskShape", "shape_fields",
    "task_shape", "tokenize_items",
]  # fmt: skip
