"""Settings as users write them, brought to the types of the class that takes them.

Dataclasses take any type, and a word where a number belongs would only fail deep inside the training, or count as
true.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, get_type_hints

from pydantic import PydanticSchemaGenerationError, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from dcpc.errors import UsageError
from dcpc.names import did_you_mean


def first_problem(error: ValidationError, whole: str) -> str:
    """The first thing that pydantic found, as one sentence: `training.epochs`: input should be greater than 0.

    Args:
        error: what validation raised.
        whole: what all the settings make up, named where they do not fit together.
    """
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"])) or whole
    return f"`{field}`: {_small(first['msg'].removeprefix('Value error, ')).rstrip('.')}."


def _small(message: str) -> str:
    """A message that goes on a sentence."""
    return message[:1].lower() + message[1:]


def checked(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, each as the type of its field.

    Numbers may be written as words ("1e-3"), truth as yes and no; a whole number's field takes 2.0 but not 2.5.

    Args:
        cls: a dataclass.
        values: by field name.

    Raises:
        UsageError: if there is no such field, a value is not of its type, or a number is not finite.
    """
    names = [field.name for field in fields(cls)]
    result = {}
    for name, value in values.items():
        if name not in names:
            raise UsageError(
                f"there is no field `{name}`.", fix=did_you_mean(name, names, cutoff=0.6) or None
            )
        result[name] = _typed(cls, name, value)
    return result


def _typed(cls: type, name: str, value: Any) -> Any:
    adapter = _adapters(cls).get(name)
    if adapter is None:
        return value
    try:
        found = adapter.validate_python(value)
    except ValidationError as error:
        raise _refusal(name, value, error.errors()[0]["msg"]) from error
    if isinstance(found, float) and not math.isfinite(found):
        raise _refusal(name, value, "A number must be finite")
    if isinstance(value, bool) and isinstance(found, int | float) and not isinstance(found, bool):
        raise _refusal(name, value, "A number is needed")
    if found == value and (type(found) is type(value) or isinstance(found, float)):
        return value
    plain = found is None or isinstance(found, bool | int | float | str | list | dict)
    return found if plain else value  # never an object that pydantic made of a mapping


def _refusal(name: str, value: Any, reason: str) -> UsageError:
    shown = "nothing" if value is None else f"`{value}`"
    return UsageError(f"`{name}` cannot be {shown}: {_small(reason)}.")


@cache
def _adapters(cls: type) -> dict[str, TypeAdapter[Any]]:
    """A check for every field whose type can be checked."""
    hints, adapters = get_type_hints(cls), {}
    for field in fields(cls):
        try:
            adapters[field.name] = TypeAdapter(hints[field.name])
        except (PydanticSchemaGenerationError, PydanticUserError):  # a type of another library
            continue
    return adapters
