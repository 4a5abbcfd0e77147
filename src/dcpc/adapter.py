"""A trained adapter with all that prediction needs: predicting, evaluating, saving and loading."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from peft import PeftModel
from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedTokenizerBase

from dcpc.errors import ModelError, UsageError
from dcpc.files import atomic_folder
from dcpc.task import WEIGHTS_FILE, Task, read_config
from dcpc.tasks import Encoded, TaskShape, task_shape
from dcpc.training.rule import LearningRule
from dcpc.weights import check_base, check_file, check_weights, check_whole

if TYPE_CHECKING:
    from dcpc.adaptation import Adapted
    from dcpc.data.annotations import Annotations
    from dcpc.prediction.tables import Items

MODEL_CARD = """
## Loading

Trained with DCPC (method `{task.method}`, base model `{task.base_model}`, labels {labels}):

```python
from dcpc import load_adapter  # importing dcpc makes PEFT know the method

adapter = load_adapter("path/to/this/folder")
adapter.predict(["a text", "another one"], as_="distribution")
```

It decides {task.how_it_decides}.
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
        notes: what was cut or done otherwise than asked, to be shown to the user.
    """

    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    task: Task
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    rule: LearningRule = field(default_factory=LearningRule)
    steps: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def shape(self) -> TaskShape:
        """What an item is to the model."""
        return self.rule.shape

    @property
    def trainable_parameters(self) -> int:
        """Numbers that training may change: the adapter and the classification head."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @property
    def annotators(self) -> list[str]:
        """Ids of the annotators that the adapter knows, stand-ins of their groups among them; empty for none."""
        return self.rule.annotator_names(self.model)

    def predict(
        self,
        items: Items,
        as_: str = "consensus",
        *,
        decide: str | None = None,
        batch_size: int = 64,
        progress: bool = False,
    ) -> pd.DataFrame:
        """Predict items as a table, the one that `dcpc predict` writes.

        Args:
            items: a list of texts; a table with the column `text` (and `text_pair`, or `response_a` and
                `response_b`), perhaps `item_id`; `Annotations`; or what `read_item_rows` gives.
            as_: `consensus`: the decided `label` of every item and its `probability`. `distribution`: the label, and
                in `p_LABEL` the share of annotators expected to choose it. `annotators`: for every item and known
                annotator (`annotator_id`) the label that is most probable for them, and its probability.
            decide: what labels of items are decided for: `macro-f1` (by the adapter's rule), `accuracy` (the most
                probable label) or `distance` (the median). None takes the last for a slider, else the rule where the
                adapter has one.
            batch_size: items per forward pass.
            progress: show a progress bar.

        Returns:
            One row per item where items have ids, else one per row of `items`, with its number from 0 in `row`.

        Raises:
            UsageError: the items lack columns, there is no such form or rule, or no annotators are known.
            DataError: no items, or a text is missing.
        """
        from dcpc.prediction.tables import predict_table

        return predict_table(self, items, as_, goal=decide, batch_size=batch_size, progress=progress)

    def evaluate(
        self,
        annotations: Annotations,
        *,
        decide: str | None = None,
        exact: bool = False,
        batch_size: int = 64,
        progress: bool = False,
    ) -> dict[str, float]:
        """Compare predictions with all judgements of held-out items; the figures of `dcpc evaluate`.

        Args:
            annotations: items that training did not see, with their judgements.
            decide: what labels are decided for, as for `predict`.
            exact: an annotator is known only where the id is written as in training; else `1.0` is also `1`.
            batch_size: items per forward pass.
            progress: show a progress bar.

        Returns:
            Name to value, see `dcpc.evaluation.measure` and docs/metrics.md.

        Raises:
            DataError: there are no items, or a label that the adapter does not know.
            UsageError: the annotations lack columns, or there is no rule for what is to be decided for.
        """
        from dcpc.prediction.evaluate import evaluate_adapter

        found = evaluate_adapter(
            self, annotations, goal=decide, exact=exact, batch_size=batch_size, progress=progress
        )
        return found.figures

    def reward(
        self,
        prompts: Sequence[str | list[dict[str, str]]],
        responses: Sequence[str],
        as_: str = "consensus",
        *,
        batch_size: int = 64,
        progress: bool = False,
    ) -> np.ndarray:
        """Rewards of single responses, of an adapter that was trained on votes between two (`prefer`).

        Args:
            prompts: of each response, R texts or chats (lists of turns with `role` and `content`).
            responses: R texts.
            as_: `consensus`, or `annotators` for the reward that each known rater's own taste gives.
            batch_size: responses per forward pass; it changes the speed, not the result.
            progress: show a progress bar.

        Returns:
            Rewards, float [R]: of two responses to one prompt the higher is the better. Of annotators [R, A], in the
            order of `annotators`.

        Raises:
            UsageError: the adapter gives no rewards, its raters have no tastes, or there are not as many prompts as
                responses.
            DataError: no response, or an empty one.
        """
        from dcpc.preference.reward import score_responses

        found, _ = score_responses(self, prompts, responses, as_, batch_size=batch_size, progress=progress)
        return found

    def adapt(
        self, few: Annotations, *, exact: bool = False, batch_size: int = 64, progress: bool = False
    ) -> Adapted:
        """Know annotators whom training did not see, from a few judgements of each; `save` keeps them.

        Args:
            few: judgements of new annotators; those of annotators whom training knew are left out.
            exact: an annotator is known only where the id is written as in training; else `1.0` is also `1`.
            batch_size: items per forward pass.
            progress: show a progress bar.

        Raises:
            UsageError: the adapter knows no annotators, or acts on them inside the model; or nobody in `few` is new.
            LabelError: a label that the adapter does not know.
        """
        from dcpc.adaptation import adapt

        return adapt(self, few, exact=exact, batch_size=batch_size, progress=progress)

    def encode(self, items: pd.DataFrame) -> Encoded:
        """Token lists of items, as training made them.

        Raises:
            UsageError: if the items do not have the columns that training saw.
        """
        self.task.check_inputs(items.columns)
        return self.shape.encode(items, self.tokenizer, self.task.max_length)

    def save(self, folder: str | Path, *, force: bool = False) -> None:
        """Write `adapter_config.json`, `adapter_model.safetensors`, a model card and `task.json`, all or nothing.

        Args:
            folder: new or empty, unless `force`.
            force: replace an adapter that this method wrote.

        Raises:
            UsageError: the method is no adapter, or needs more than the adapter to predict; or the folder holds
                something, or cannot be written to.
            TrainingError: a weight is no number: the training has diverged.
        """
        if not isinstance(self.model, PeftModel) or not self.rule.saves:
            raise UsageError(
                f"what {self.task.method} trained cannot be saved as an adapter.",
                fix="Train with dcpc, or with one of PEFT's methods.",
            )
        with saved_adapter(self.model, folder, force=force) as unfinished:
            self.rule.save(unfinished)
            self.task.write(unfinished)
            card = self.shape.card or MODEL_CARD
            labels = ", ".join(self.task.labels)
            title, card = self.shape.title.format(labels=labels), card.format(task=self.task, labels=labels)
            about = "" if self.task.about is None else f"\n## Training\n\n{self.task.about.text()}"
            readme = unfinished / "README.md"
            head = front_matter(readme.read_text(encoding="utf-8"), self.task.base_model)
            readme.write_text(f"{head}\n# {title}\n{about}{card}", encoding="utf-8")


def load_adapter(folder: str | Path, *, trust_remote_code: bool = False) -> TrainedAdapter:
    """Load what `TrainedAdapter.save` or `dcpc train` wrote, ready to predict.

    Raises:
        ModelError: if a file is missing or altered, weights are missing or no numbers, or the base model cannot be
            loaded or is another one.
    """
    folder = Path(folder)
    task = Task.read(folder)
    names = check_file(folder / WEIGHTS_FILE, read_config(folder))
    shape = task_shape(task.shape)
    base, tokenizer = shape.load(task.base_model, task.labels, **task.base_options(trust_remote_code))
    check_base(base, task.base_sha256, task.base_model, folder)
    try:
        with quiet_libraries():
            model = PeftModel.from_pretrained(base, str(folder))
            check_whole(model, names, folder)
    except (SafetensorError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"the weights lack {error.args[0]}" if isinstance(error, KeyError) else str(error)
        raise ModelError(
            f"the adapter does not fit its base model {task.base_model}: {' '.join(reason.split())[:200]}",
            where=folder,
            fix="Restore the folder's files, or train again.",
        ) from error
    rule = shape.loaded_rule(folder) or LearningRule()
    rule.shape = shape
    rule.attach(model)
    return TrainedAdapter(model.eval(), tokenizer, task, rule=rule)


def front_matter(card: str, base_model: str) -> str:
    """The fields of PEFT's own card that the hub reads, without its empty sections, and without a local path.

    Args:
        card: the text that PEFT wrote.
        base_model: whose name is left out where it is a path on this machine, which the hub refuses.
    """
    _, _, rest = card.partition("---\n")
    fields, _, _ = rest.partition("---\n")
    local = Path(base_model).is_absolute()
    kept = [line for line in fields.splitlines() if not (local and base_model in line)]
    return "\n".join(["---", *kept, "---", ""])


@contextmanager
def saved_adapter(model: PeftModel, folder: str | Path, *, force: bool) -> Iterator[Path]:
    """Write a trained model as PEFT does, and within the block what belongs to it; all or nothing.

    Args:
        model: with its adapter.
        folder: new or empty, unless `force`.
        force: replace an adapter that was written so.

    Yields:
        The folder in which the adapter lies until the block ends well.

    Raises:
        UsageError: the folder holds something, or cannot be written to.
        TrainingError: a weight is no number: the training has diverged.
    """
    check_weights(model)
    with atomic_folder(folder, "train", force=force) as unfinished:
        with quiet_libraries():
            model.save_pretrained(str(unfinished))
        yield unfinished


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence warnings of libraries that are about choices made here on purpose."""
    with warnings.catch_warnings():
        # The base model `minilm` is a name, not a path; nothing in it was modified.
        warnings.filterwarnings("ignore", message="Could not find a config file")
        warnings.filterwarnings("ignore", message="Unable to fetch remote file")
        warnings.filterwarnings("ignore", message=".*pin_memory.*")
        # What is missing is an error, see `dcpc.weights`.
        warnings.filterwarnings("ignore", message="Found missing adapter keys")
        warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
        yield
