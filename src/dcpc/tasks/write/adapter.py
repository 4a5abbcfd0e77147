"""A trained writing adapter with all that generation needs: saving and loading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from peft import PeftModel
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from transformers import PreTrainedTokenizerBase

from dcpc.adapter import quiet_libraries, saved_adapter
from dcpc.errors import ModelError
from dcpc.models import load_language_model
from dcpc.settings import first_problem
from dcpc.task import CONFIG_FILE, TASK_FILE, WEIGHTS_FILE, read_config, sha256
from dcpc.tasks.write.loss import writers_act, writers_of
from dcpc.tasks.write.prompts import PromptFormat
from dcpc.weights import check_base, check_file, check_whole

MODEL_CARD = """
## Loading

Trained with DCPC to write (method `{method}`, base model `{base_model}`, {writers}):

```python
from dcpc.tasks.write import load_writing_adapter, write_replies  # importing dcpc makes PEFT know the method

adapter = load_writing_adapter("path/to/this/folder")
```
"""


class WritingTask(BaseModel):
    """What a writing adapter was trained to do: the small file `task.json` beside PEFT's two.

    Attributes:
        task: tells it from the adapters of other tasks.
        base_model: a short name, a Hugging Face id, or a path.
        method: `dcpc` or `lora`.
        max_length: tokens of prompt and reply together.
        system: system prompt of chats that have none; None for the template's own.
        writers: the writers of the training replies, sorted.
        weights_sha256: of the adapter's weights, to notice an altered file; None before it is saved.
        config_sha256: of `adapter_config.json`, likewise.
        base_sha256: of a sample of the base model's weights, to notice another model under the same name.
    """

    task: Literal["write"] = "write"
    base_model: str
    method: str
    max_length: int
    system: str | None = None
    writers: list[str] = []
    weights_sha256: str | None = None
    config_sha256: str | None = None
    base_sha256: str | None = None


SEALED = {"weights_sha256": WEIGHTS_FILE, "config_sha256": CONFIG_FILE}
"""Fields of the task that hold a file's hash."""


@dataclass
class WritingAdapter:
    """A base model with an adapter, its tokenizer, and how chats become its prompts.

    Attributes:
        model: a causal language model with the adapter.
        tokenizer: of the base model.
        task: what it was trained to do.
        seconds: training time.
        history: the Trainer's log entries.
        notes: what was cut or changed on the way, one sentence each.
    """

    model: PeftModel
    tokenizer: PreTrainedTokenizerBase
    task: WritingTask
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    notes: tuple[str, ...] = ()

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @property
    def trainable_parameters(self) -> int:
        """Numbers that the adapter holds."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    @property
    def writers(self) -> list[str]:
        """The writers whose styles it knows; none where all have one style."""
        return writers_of(self.model)

    def format(self) -> PromptFormat:
        """How chats become this adapter's prompts; counts what it cuts from now on."""
        return PromptFormat(self.tokenizer, self.task.max_length, self.task.system)

    def writer_numbers(self, writers: Sequence[str | None]) -> torch.Tensor | None:
        """Numbers [B] of writers, −1 (the dominant style) for None and unknown ones; None where no writers act."""
        tuner = writers_act(self.model)
        if tuner is None:
            return None
        return tuner.annotator_index(["" if name is None else name for name in writers])

    def save(self, folder: str | Path, *, force: bool = False) -> None:
        """Write `adapter_config.json`, `adapter_model.safetensors`, a model card and `task.json`, all or nothing.

        Args:
            folder: new or empty, unless `force`.
            force: replace an adapter that this method wrote.

        Raises:
            UsageError: the folder holds something, or cannot be written to.
            TrainingError: a weight is no number: the training has diverged.
        """
        with saved_adapter(self.model, folder, force=force) as unfinished:
            sealed = self.task.model_copy(
                update={name: sha256(unfinished / file) for name, file in SEALED.items()}
            )
            (unfinished / TASK_FILE).write_text(sealed.model_dump_json(indent=2) + "\n", encoding="utf-8")
            writers = f"{len(self.task.writers)} writers" if self.writers else "one style for all writers"
            card = MODEL_CARD.format(
                method=self.task.method, base_model=self.task.base_model, writers=writers
            )
            with (unfinished / "README.md").open("a", encoding="utf-8") as file:
                file.write(card)


def read_writing_task(folder: str | Path) -> WritingTask:
    """The task of an adapter folder, once it is known to be whole.

    Raises:
        ModelError: if a file is missing, unreadable or altered.
    """
    folder = Path(folder)
    for name in (CONFIG_FILE, WEIGHTS_FILE, TASK_FILE):
        if not (folder / name).is_file():
            raise ModelError(
                f"the adapter folder has no {name}.",
                where=folder,
                fix="Copy the whole folder, or train again.",
            )
    try:
        task = WritingTask.model_validate_json((folder / TASK_FILE).read_text(encoding="utf-8"))
    except (ValidationError, OSError, ValueError) as error:
        what = first_problem(error, "task") if isinstance(error, ValidationError) else str(error)
        raise ModelError(what, where=folder / TASK_FILE, fix="Restore the file, or train again.") from error
    for field_name, name in SEALED.items():
        if getattr(task, field_name) not in (None, sha256(folder / name)):
            raise ModelError(
                f"the file is not the one that was saved: its SHA-256 differs from {TASK_FILE}.",
                where=folder / name,
                fix=f"Restore it, or train again. If the change is meant, remove {field_name} from {TASK_FILE}.",
            )
    return task


def load_writing_adapter(
    folder: str | Path, *, trust_remote_code: bool = False, **options: Any
) -> WritingAdapter:
    """Load what `WritingAdapter.save` or `dcpc train --task write` wrote, ready to write.

    Args:
        folder: the adapter's.
        trust_remote_code: run modelling code that the base model brings.
        **options: for the base model's `from_pretrained` (`dtype`, `device_map`, …).

    Raises:
        ModelError: if a file is missing or altered, weights are missing or no numbers, or the base model cannot be
            loaded or is another one.
    """
    folder = Path(folder)
    task = read_writing_task(folder)
    names = check_file(folder / WEIGHTS_FILE, read_config(folder))
    base, tokenizer = load_language_model(task.base_model, trust_remote_code=trust_remote_code, **options)
    check_base(base, task.base_sha256, task.base_model, folder)
    try:
        with quiet_libraries():
            model = PeftModel.from_pretrained(base, str(folder))
            check_whole(model, names, folder)
    except (SafetensorError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"the adapter does not fit its base model {task.base_model}: {' '.join(str(error).split())[:200]}",
            where=folder,
            fix="Restore the folder's files, or train again.",
        ) from error
    return WritingAdapter(model.eval(), tokenizer, task)
