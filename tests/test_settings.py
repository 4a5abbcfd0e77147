"""Settings become the types of their fields, or are refused with the field's name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from peft import LoraConfig, PrefixTuningConfig
from pydantic import BaseModel, Field, ValidationError, model_validator

from dcpc import DCPCConfig
from dcpc.errors import UsageError
from dcpc.objective import ObjectiveConfig
from dcpc.settings import checked, first_problem
from dcpc.training import DCPCTrainingArguments
from dcpc.training.arguments import checked_arguments


class _Foreign:
    """A type that cannot be checked."""


@dataclass
class _Settings:
    number: int = 1
    rate: float = 0.5
    switch: bool = False
    word: str = "a"
    names: list[str] | str | None = None
    foreign: _Foreign | None = None
    table: dict[str, Any] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("name", "given", "found"),
    [
        ("number", "3", 3),
        ("number", 2.0, 2),
        ("rate", "1e-3", 1e-3),
        ("rate", 1, 1),
        ("switch", "no", False),
        ("switch", 1, True),
        ("names", ["a", "b"], ["a", "b"]),
        ("names", None, None),
        ("table", {"a": 1}, {"a": 1}),
    ],
)
def test_values_become_the_type_of_their_field(name, given, found) -> None:
    value = checked(_Settings, {name: given})[name]
    assert value == found
    assert type(value) is type(found)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("number", "abc"),
        ("number", 2.5),
        ("number", True),
        ("rate", None),
        ("rate", float("nan")),
        ("rate", float("inf")),
        ("switch", "maybe"),
        ("switch", 2),
        ("word", 3),
        ("word", False),
        ("names", 5),
        ("table", [1]),
        ("numbr", 1),
    ],
)
def test_others_are_refused_by_name(name, given) -> None:
    with pytest.raises(UsageError, match=f"`{name}`"):
        checked(_Settings, {name: given})


def test_a_foreign_type_is_left_to_its_class() -> None:
    thing = _Foreign()
    assert checked(_Settings, {"foreign": thing}) == {"foreign": thing}


@pytest.mark.parametrize(
    "config", [DCPCTrainingArguments, ObjectiveConfig, DCPCConfig, LoraConfig, PrefixTuningConfig]
)
def test_every_class_that_takes_settings_can_be_checked(config) -> None:
    name = next(name for name in ("seed", "ambiguity_weight", "rank", "r", "num_virtual_tokens")
                if name in config.__dataclass_fields__)  # fmt: skip
    with pytest.raises(UsageError, match=f"`{name}` cannot be `abc`"):
        checked(config, {name: "abc"})


@pytest.mark.parametrize("preset", ["default", "paper", "none"])
def test_presets_are_settings_that_pass(preset) -> None:
    values = vars(ObjectiveConfig.preset(preset))
    assert checked(ObjectiveConfig, values) == values


@pytest.mark.parametrize(
    "values", [{"ambiguity_weight": "abc"}, {"similarity_quantile": 2.0}, {"batch_pairs": "maybe"}]
)
def test_an_objective_refuses_what_is_no_value_of_its_fields(values) -> None:
    with pytest.raises(UsageError, match=next(iter(values))):
        ObjectiveConfig(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"per_device_train_batch_size": 0},
        {"learning_rate": 0},
        {"max_steps": -2},
        {"seed": 2**32},
        {"adam_beta1": 1},
    ],
)
def test_training_arguments_have_a_range(values) -> None:
    with pytest.raises(UsageError, match=next(iter(values))):
        checked_arguments(values)


class _Part(BaseModel):
    epochs: int = Field(default=1, gt=0)


class _Whole(BaseModel):
    part: _Part = _Part()
    first: int = 0
    second: int = 1

    @model_validator(mode="after")
    def _rising(self) -> _Whole:
        if self.second <= self.first:
            raise ValueError("Second must be above first.")
        return self


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"part": {"epochs": 0}}, "`part.epochs`: input should be greater than 0."),
        ({"first": [], "second": []}, "`first`: input should be a valid integer."),
        ({"first": 2}, "`plan`: second must be above first."),
    ],
)
def test_the_first_problem_names_the_field_or_the_whole(values, problem) -> None:
    with pytest.raises(ValidationError) as caught:
        _Whole.model_validate(values)
    assert first_problem(caught.value, "plan") == problem
