"""What an adapter was trained to do: the small file `task.json` beside PEFT's two."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError, model_validator

from dcpc.about import About
from dcpc.data.annotations import ITEM_COLUMNS, Scale
from dcpc.errors import ModelError, UsageError
from dcpc.evaluation.decision import FEWEST_ITEMS, DecisionRule, Goal, chosen_goal
from dcpc.settings import first_problem

TASK_FILE = "task.json"
CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"

TASK_VERSION = 2
"""Rises when an older dcpc would misread a newer file."""


class Task(BaseModel):
    """The labels that an adapter predicts, and how its inputs were made.

    Attributes:
        base_model: `minilm`, a Hugging Face id, or a path.
        method: `dcpc`, or one of PEFT's methods.
        labels: the C labels in the order of the logits.
        scale: nominal, ordinal or preference.
        max_length: tokens after which texts are cut.
        inputs: the item's columns that its inputs were made of (`text`, perhaps `text_pair`, or `response_a` and
            `response_b`); None where nobody wrote them down.
        range: lowest and highest value of the slider that the labels are steps of; None for other labels.
        shape: settings of the task shape (`dcpc.tasks`); None for a classification head.
        quantise: how the base model's weights were quantised while it was loaded (`dcpc.models.quantised`).
        dtype: number type in which the base model was loaded; None is what it was saved in.
        group_column: column with the group of annotators, to which unknown ones fall back; None for none.
        decision: how labels are decided for macro-F1, fitted on held-out judgements; None where there were none.
        about: facts of the training for the model card; None where nobody wrote them down.
        weights_sha256: of the adapter's weights, to notice an altered file; None before it is saved.
        config_sha256: of `adapter_config.json`, likewise.
        base_sha256: of a sample of the base model's weights (`dcpc.weights.base_fingerprint`), to notice another
            model under the same name; None where it cannot be told.
        version: of this file's format. 1 (which files before 0.2 do not say) knew no decision rule.
    """

    base_model: str = Field(min_length=1)
    method: str
    labels: list[str] = Field(min_length=2)
    scale: Scale = "nominal"
    max_length: int | None = Field(default=None, gt=0)
    inputs: list[str] | None = None
    range: tuple[float, float] | None = None
    shape: dict[str, Any] | None = None
    dtype: str | None = None
    quantise: str | None = None
    group_column: str | None = None
    decision: DecisionRule | None = None
    about: About | None = None
    weights_sha256: str | None = None
    config_sha256: str | None = None
    base_sha256: str | None = None
    version: int = 1

    @model_validator(mode="after")
    def _fits(self) -> Task:
        if self.version > TASK_VERSION:
            raise ValueError(
                f"the format is version {self.version}, written by a newer dcpc; this one reads up to {TASK_VERSION}"
            )
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("a label is named twice")
        if self.decision is not None and len(self.decision.offsets) != len(self.labels):
            raise ValueError(
                f"the decision rule has {len(self.decision.offsets)} offsets for {len(self.labels)} labels"
            )
        return self

    @property
    def logit_names(self) -> list[str]:
        """What the adapter's logits are of: the labels, unless its shape says otherwise."""
        from dcpc.tasks import task_shape

        return task_shape(self.shape).logit_names(self.labels)

    @property
    def how_it_decides(self) -> str:
        """What labels are decided for by default, to follow `decides`."""
        if self.range is not None:
            return "for the median, from which the judgements to expect are the least steps away"
        if self.decision is None:
            return f"for the most probable label: it carries no rule fitted on {FEWEST_ITEMS} held-out items or more"
        judgements, items = f"{self.decision.judgements:,}", f"{self.decision.items:,}"
        return f"for macro-F1, by a rule fitted on {judgements} held-out judgements of {items} items"

    def goal(self, asked: str | None = None) -> Goal:
        """What to decide for.

        Raises:
            UsageError: as `dcpc.evaluation.decision.chosen_goal`; `distance`, where labels have no order.
        """
        goal = chosen_goal(self.decision, asked, slider=self.range is not None)
        if goal == "distance" and self.scale != "ordinal":
            raise UsageError(
                f"labels that are {self.scale} have no order, so none is in the middle.",
                fix="Decide for accuracy or macro-f1.",
            )
        return goal

    def base_options(self, trust_remote_code: bool = False) -> dict[str, Any]:
        """How the base model was loaded: arguments of its `from_pretrained`."""
        dtype = {} if self.dtype is None else {"dtype": self.dtype}
        quantise = {} if self.quantise is None else {"quantise": self.quantise}
        return {"trust_remote_code": trust_remote_code, **dtype, **quantise}

    def check_inputs(self, columns: Collection[str]) -> None:
        """Items are made of the columns that training saw: a missing one would be read as empty, one more joined on.

        Raises:
            UsageError: naming the columns that are missing or too many.
        """
        if self.inputs is None:
            return
        found = [name for name in ITEM_COLUMNS if name in columns]
        missing = [name for name in self.inputs if name not in found]
        more = [name for name in found if name not in self.inputs]
        trained = " and ".join(f"`{name}`" for name in self.inputs)
        if missing:
            raise UsageError(
                f"the adapter was trained on {trained}, but the items have no `{missing[0]}`.",
                fix=f"Name the column that holds it: --columns {missing[0]}=YOUR_COLUMN.",
            )
        if more:
            raise UsageError(
                f"the adapter was trained on {trained}, but the items also have `{more[0]}`.",
                fix="Remove the column, or use an adapter that was trained with it.",
            )

    def write(self, folder: Path) -> None:
        """Write `task.json` into an adapter folder, with the hashes of the files that lie there."""
        hashes = {
            "weights_sha256": sha256(folder / WEIGHTS_FILE),
            "config_sha256": sha256(folder / CONFIG_FILE),
        }
        sealed = self.model_copy(update={**hashes, "version": TASK_VERSION})
        (folder / TASK_FILE).write_text(sealed.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Task:
        """Read an adapter folder's task and check that the folder is whole.

        A DCPC adapter that was saved with `save_pretrained` alone has its labels in `adapter_config.json`.

        Raises:
            ModelError: if the folder or a file is missing, unreadable or altered.
        """
        if not folder.is_dir():
            raise ModelError(
                "there is no such adapter folder.", where=folder, fix="Name a folder that `dcpc train` wrote."
            )
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            if not (folder / name).is_file():
                raise ModelError(
                    f"the adapter folder has no {name}.",
                    where=folder,
                    fix="Copy the whole folder, or train again.",
                )
        config = read_config(folder)
        if not (folder / TASK_FILE).exists():
            return cls._from_config(config, folder)
        try:
            task = cls.model_validate(_read_json(folder / TASK_FILE))
        except ValidationError as error:
            raise ModelError(
                first_problem(error, "task"),
                where=folder / TASK_FILE,
                fix="Restore the file, or train again.",
            ) from error
        for name, field in ((WEIGHTS_FILE, "weights_sha256"), (CONFIG_FILE, "config_sha256")):
            if getattr(task, field) not in (None, sha256(folder / name)):
                raise ModelError(
                    f"the file is not the one that was saved: its SHA-256 differs from {TASK_FILE}.",
                    where=folder / name,
                    fix=f"Restore it, or train again. If the change is meant, remove {field} from {TASK_FILE}.",
                )
        if config.get("labels") not in (None, task.logit_names):
            raise ModelError(
                f"the labels are {', '.join(task.labels)}, but {CONFIG_FILE} has others, or another order.",
                where=folder / TASK_FILE,
                fix="Restore the file, or train again.",
            )
        return task

    @classmethod
    def _from_config(cls, config: dict, folder: Path) -> Task:
        if not config.get("labels"):
            raise ModelError(
                f"there is no {TASK_FILE}, and {CONFIG_FILE} does not name the labels.",
                where=folder,
                fix="Pass labels=[...] to DCPCConfig before training, or train with `dcpc train`.",
            )
        try:
            return cls.model_validate(
                {
                    "base_model": config.get("base_model_name_or_path"),
                    "method": "dcpc",
                    "labels": config["labels"],
                }
            )
        except ValidationError as error:
            raise ModelError(
                first_problem(error, "config"),
                where=folder / CONFIG_FILE,
                fix="Restore the file, or train again.",
            ) from error


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_config(folder: Path) -> dict:
    """The adapter's PEFT configuration as it is written.

    Raises:
        ModelError: it is no JSON object.
    """
    return _read_json(folder / CONFIG_FILE)


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"is not readable JSON ({error}).", where=path, fix="Restore the file, or train again."
        ) from error
    if not isinstance(content, dict):
        raise ModelError("holds no JSON object.", where=path, fix="Restore the file, or train again.")
    return content
