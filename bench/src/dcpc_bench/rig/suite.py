"""What a benchmark compares, on what and how: a suite, written as YAML."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from dcpc.data.annotations import Scale
from dcpc.errors import UsageError
from dcpc.names import check_name, did_you_mean
from dcpc.plain_yaml import load_yaml
from dcpc.settings import first_problem
from dcpc_bench.rig.conditions import Condition

Backbone = Literal["lora", "p-tuning-v2"]
"""A PEFT method that carries the learning rules."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)


class Dataset(_Strict):
    """One data set of a suite.

    Attributes:
        name: short name in results. `generated-reviews` is made by the package itself.
        path: file or folder, absolute or below the data folder; by default the name.
        format, columns, scale, label_set: as `read_annotations` takes them (`label_set` is its `labels`).
        labels: new label → the labels it stands for, in order from low to high; judgements with another label
            are left out.
        bins: highest value of every bin but the last, for numeric labels: [11, 14] makes three.
        conditions: instead of the suite's.
        task: settings of a task shape, `{name: label-words, template: …}`; None for a head that classifies. With
            `{name: choose}` COPA and ReCoRD have their candidates to choose from.
        settings: method → its setting on this set, chosen beforehand; goes before the suite's `settings`.
    """

    name: str = Field(pattern=r"^[\w.-]+$")
    path: str | None = None
    format: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    scale: Scale | None = None
    label_set: list[str] | None = None
    labels: dict[str, list[str]] | None = Field(default=None, min_length=2)
    bins: list[float] | None = Field(default=None, min_length=1)
    conditions: list[str] | None = None
    task: dict[str, Any] | None = None
    settings: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @field_validator("conditions")
    @classmethod
    def _known(cls, conditions: list[str] | None) -> list[str] | None:
        for text in conditions or []:
            Condition.parse(text)
        return conditions

    @field_validator("task")
    @classmethod
    def _shape(cls, task: dict[str, Any] | None) -> dict[str, Any] | None:
        if task is not None:
            from dcpc.tasks import task_shape

            try:
                task_shape(task)
            except UsageError as error:
                raise ValueError(str(error)) from error
        return task

    @model_validator(mode="after")
    def _one_way(self) -> Dataset:
        if self.labels is not None and self.bins is not None:
            raise ValueError("has labels and bins; one of the two is needed")
        return self


class Caps(_Strict):
    """At most so many items on each side of a split; None: all."""

    train: int | None = Field(default=None, gt=0)
    validation: int | None = Field(default=None, gt=0)
    test: int | None = Field(default=None, gt=0)


class Training(_Strict):
    """What every training shares.

    Attributes:
        base_model: `minilm`, a Hugging Face id, or a local path.
        epochs: of training; the one that predicts the validation judgements best is kept.
        batch_size: items per step.
        max_length: tokens after which texts are cut.
        bf16: autocast to bfloat16 where this machine computes faster in it; elsewhere float32.
        attention: implementation, `sdpa` or `eager`; None for transformers' choice.
        group_by_length: draw the items of a training batch from those of similar length, which saves padding.
        threads: of the CPU.
    """

    base_model: str = "minilm"
    epochs: float = Field(default=5, gt=0)
    batch_size: int = Field(default=32, gt=0)
    max_length: int = Field(default=64, gt=0)
    bf16: bool = False
    attention: str | None = None
    group_by_length: bool = False
    threads: int = Field(default=1, gt=0)


class Search(_Strict):
    """Successive halving, the same for every method.

    Attributes:
        trials: settings tried, drawn evenly from the method's grid (all of them if it has fewer).
        fractions: share of the epochs that each rung trains for.
        keep: share of the settings that goes on to the next rung, rounded up.
        condition: search in this one, and take its choice for all conditions of a data set; by default every
            condition has a search of its own.
    """

    trials: int = Field(default=8, gt=0)
    fractions: list[float] = Field(default=[0.5, 1.0], min_length=1)
    keep: float = Field(default=0.34, gt=0, lt=1)
    condition: str | None = None

    @field_validator("fractions")
    @classmethod
    def _rising(cls, fractions: list[float]) -> list[float]:
        if min(fractions) <= 0 or max(fractions) > 1 or sorted(fractions) != fractions:
            raise ValueError("must rise, each above 0 and at most 1")
        return fractions


class Suite(_Strict):
    """Everything that `dcpc-bench run` needs to know.

    Attributes:
        name: the suite's name in results; by default that of its file.
        description: one sentence.
        datasets: the data sets; a plain name stands for one without further settings.
        conditions: budgets, simulated pools, the clean control; see `Condition`.
        methods: names in `dcpc_bench.methods.METHODS`.
        reference: the method that all others are compared with.
        seeds: how many; seed s draws the split, the budget or the pool, and the training.
        caps, training, search: see there.
        backbone: the adapter that carries the targets, losses and heads: lora or p-tuning-v2.
        settings: method → its setting, chosen beforehand; a method that is named here is not searched.
        pools: name in a condition → parameters of the annotator pool; `pool` names its kind.
        annotators: A of simulated pools.
        labels_per_item: judgements per item of simulated pools.
    """

    name: str = ""
    description: str = ""
    datasets: list[Dataset] = Field(min_length=1)
    conditions: list[str] = Field(default=["budget=1", "budget=all"], min_length=1)
    methods: list[str] = Field(min_length=1)
    reference: str
    seeds: int = Field(default=3, gt=0)
    caps: Caps = Field(default_factory=Caps)
    training: Training = Field(default_factory=Training)
    search: Search = Field(default_factory=Search)
    backbone: Backbone = "lora"
    settings: dict[str, dict[str, Any]] | None = None
    pools: dict[str, dict[str, Any]] = Field(default_factory=dict)
    annotators: int = Field(default=12, gt=1)
    labels_per_item: int = Field(default=1, gt=0)

    @field_validator("datasets", mode="before")
    @classmethod
    def _plain_names(cls, datasets: Any) -> Any:
        if not isinstance(datasets, list):
            return datasets
        return [{"name": d} if isinstance(d, str) else d for d in datasets]

    @field_validator("conditions")
    @classmethod
    def _conditions(cls, conditions: list[str]) -> list[str]:
        for text in conditions:
            Condition.parse(text)
        return conditions

    @model_validator(mode="after")
    def _whole(self) -> Suite:
        for what, names in (("datasets", [d.name for d in self.datasets]), ("methods", self.methods)):
            twice = [n for n in dict.fromkeys(names) if names.count(n) > 1]
            if twice:
                raise ValueError(f"{what} name {twice[0]} twice")
        if self.reference not in self.methods:
            raise ValueError(f"the reference {self.reference} is not among the methods")
        if self.search.condition is not None:
            Condition.parse(self.search.condition)
        return self

    def conditions_of(self, dataset: Dataset) -> list[str]:
        """The data set's own conditions, or the suite's."""
        return dataset.conditions or self.conditions

    def searched_in(self, dataset: Dataset, condition: str) -> str:
        """The condition whose search chooses the settings for a condition of a data set.

        The shared one also where fewer conditions are run than the suite has, so that settings do not hang on that;
        a data set with conditions of its own may not have it.
        """
        shared = self.search.condition
        own = dataset.conditions is not None and shared not in dataset.conditions
        return condition if shared is None or own else shared

    def setting_of(self, dataset: str, method: str) -> dict[str, Any] | None:
        """The setting that was chosen beforehand for a method on a data set; None where it is searched."""
        own = self.dataset(dataset).settings.get(method)
        return (self.settings or {}).get(method) if own is None else own

    def dataset(self, name: str) -> Dataset:
        """The data set of that name."""
        return next(d for d in self.datasets if d.name == name)


def suite_names() -> list[str]:
    """The suites that come with the package."""
    folder = files("dcpc_bench") / "suites"
    order = (
        "demo",
        "demo-llm",
        "smoke",
        "real-small",
        "real-full",
        "sizes",
        "sizes-defaults",
        "shift-small",
        "shift-rte",
        "shift-full",
        "ablation",
        "paper-llm",
        "paper-llm-cut",
        "paper-llm-longer",
        "head-or-words",
    )
    found = {entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")}
    return [name for name in order if name in found] + sorted(found - set(order))


def load_suite(name: str) -> Suite:
    """The suite of that name, or the one in a YAML file.

    Raises:
        UsageError: no such suite (the nearest names are given), no YAML, or a field that is wrong.
    """
    if name in suite_names():
        own = files("dcpc_bench") / "suites" / f"{name}.yaml"
        return parse_suite(own.read_text(encoding="utf-8"), name, name)
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        try:
            return parse_suite(path.read_text(encoding="utf-8"), str(path), path.stem)
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise UsageError(f"the suite cannot be read ({reason}).", where=path) from error
    if path.exists():
        raise UsageError("is no suite.", where=path, fix=f"For your own annotations: --data {name}")
    names = suite_names()
    raise UsageError(
        f'there is no suite "{name}".',
        fix=f"{did_you_mean(name, names)} Suites: {', '.join(names)}, or a .yaml file.".lstrip(),
    )


def parse_suite(text: str, where: str, name: str) -> Suite:
    """A suite from YAML.

    Args:
        text: the YAML.
        where: its file, for messages.
        name: the suite's name where it does not say one.

    Raises:
        UsageError: names the field that is unknown, missing or wrong.
    """
    try:
        content = load_yaml(text)
    except ValueError as error:
        raise UsageError(f"the suite is not YAML: {error}", where=where) from error
    if not isinstance(content, dict):
        raise UsageError("a suite is a mapping of settings.", where=where, fix="Write e.g. `seeds: 3`.")
    return make_suite({"name": name, **content}, where)


def make_suite(content: dict[str, Any], where: str | None = None) -> Suite:
    """A suite from its fields.

    Raises:
        UsageError: names the field that is unknown, missing or wrong.
    """
    try:
        return Suite.model_validate(content)
    except ValidationError as error:
        raise UsageError(
            first_problem(error, "suite"), where=where, fix=f"Fields are: {', '.join(Suite.model_fields)}."
        ) from error


def check_names(suite: Suite) -> None:
    """Make sure that the methods and pools of a suite exist.

    Raises:
        UsageError: an unknown name, with the nearest ones.
    """
    from dcpc_bench.methods import METHODS
    from dcpc_bench.shifts import POOLS
    from dcpc_bench.source_tasks import WRITINGS

    for method in suite.methods:
        check_name(method, list(METHODS), "method")
    for dataset in suite.datasets:
        for text in suite.conditions_of(dataset):
            asked = Condition.parse(text)
            if asked.pool is not None:
                check_name(suite.pools.get(asked.pool, {}).get("pool", asked.pool), list(POOLS), "pool")
            if asked.written is not None:
                check_name(asked.written, list(WRITINGS), "way of writing")
