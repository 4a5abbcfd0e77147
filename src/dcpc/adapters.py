"""A trained adapter with all that prediction needs: saving and loading."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from peft import PeftModel
from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedTokenizerBase

from dcpc.errors import ModelError, UsageError
from dcpc.models import load_base_model
from dcpc.task import Task
from dcpc.training.dataset import tokenize_items
from dcpc.training.rule import LearningRule

MODEL_CARD = """
## Loading

Trained with DCPC (method `{task.method}`, base model `{task.base_model}`, labels {labels}):

```python
from dcpc.adapters import load_adapter  # importing dcpc makes PEFT know the method
from dcpc.prediction import predict_distribution

adapter = load_adapter("path/to/this/folder")
```
"""


@dataclass
class TrainedAdapter:
    """A trained model, its tokenizer and its task.

    Attributes:
        model: base model with the adapter; a bare base model where the method trains that itself.
        tokenizer: of the base model.
        task: labels and inputs.
        seconds: training time.
        history: the Trainer's log entries.
        rule: how its logits become predictions.
        steps: optimizer steps of the training.
    """

    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    task: Task
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    rule: LearningRule = field(default_factory=LearningRule)
    steps: int = 0

    @property
    def trainable_parameters(self) -> int:
        """Numbers that training may change: the adapter and the classification head."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def tokenize(self, items: pd.DataFrame) -> dict[str, Sequence[list[int]]]:
        """Token ids of items, as `dcpc.training.tokenize_items` makes them for this adapter.

        Raises:
            UsageError: if the items do not have the columns that training saw.
        """
        self.task.check_inputs(items.columns)
        return tokenize_items(items, self.tokenizer, self.task.max_length)

    def save(self, folder: str | Path) -> None:
        """Write `adapter_config.json`, `adapter_model.safetensors`, a model card and `task.json`.

        Raises:
            UsageError: the method is no adapter, or needs more than the adapter to predict.
        """
        if not isinstance(self.model, PeftModel) or not self.rule.saves:
            raise UsageError(
                f"what {self.task.method} trained cannot be saved as an adapter.",
                fix="Train with dcpc, or with one of PEFT's methods.",
            )
        with quiet_libraries():
            self.model.save_pretrained(str(folder))
        self.task.write(Path(folder))
        with (Path(folder) / "README.md").open("a", encoding="utf-8") as card:
            card.write(MODEL_CARD.format(task=self.task, labels=", ".join(self.task.labels)))


def load_adapter(folder: str | Path, *, trust_remote_code: bool = False) -> TrainedAdapter:
    """Load what `TrainedAdapter.save` or `dcpc train` wrote, ready to predict.

    Raises:
        ModelError: if a file is missing or altered, or the base model cannot be loaded.
    """
    folder = Path(folder)
    task = Task.read(folder)
    base, tokenizer = load_base_model(task.base_model, task.labels, trust_remote_code=trust_remote_code)
    try:
        with quiet_libraries():
            model = PeftModel.from_pretrained(base, str(folder))
    except (SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"the adapter does not fit its base model {task.base_model}: {' '.join(str(error).split())[:200]}",
            where=folder,
            fix="Restore the folder's files, or train again.",
        ) from error
    return TrainedAdapter(model.eval(), tokenizer, task)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence warnings of libraries that are about choices made here on purpose."""
    with warnings.catch_warnings():
        # The base model `minilm` is a name, not a path; nothing in it was modified.
        warnings.filterwarnings("ignore", message="Could not find a config file")
        warnings.filterwarnings("ignore", message="Unable to fetch remote file")
        warnings.filterwarnings("ignore", message=".*pin_memory.*")
        warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
        yield
