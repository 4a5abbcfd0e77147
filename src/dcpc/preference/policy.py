"""From votes to a policy: one call that trains by DPO with raters, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from peft import LoraConfig, PeftConfig, PeftModel
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from dcpc.about import About, Figure
from dcpc.adapter import front_matter, saved_adapter
from dcpc.data import Annotations
from dcpc.errors import UsageError
from dcpc.preference.fitting import start_raters
from dcpc.preference.pairs import check_votes, pair_notes, vote_scale
from dcpc.preference.policy_data import vote_dataset
from dcpc.preference.raters import RaterConfig, RaterModel
from dcpc.settings import checked
from dcpc.tuner import DCPCConfig

if TYPE_CHECKING:
    from trl import DPOConfig

ALIKE = 0.99
"""Share of the tokens of two tokenizers that have one number in both, where one is made from the other."""
OWN = ("rater_learning_rate", "samples", "sample_tokens")
"""Settings of `RaterDPOTrainer` itself."""
RATERS = RaterConfig(errors=1.5)
"""Raters of a policy: they err, besides calling ties and leaning to a side."""


CARD = """
## Loading

A policy, trained on votes between responses with DCPC on `{base}`:

```python
{imports}from peft import AutoPeftModelForCausalLM

model = AutoPeftModelForCausalLM.from_pretrained("path/to/this/folder")
```

The reference is the same model under `with model.disable_adapter():`. Who voted is in `raters.json` and
`raters.safetensors`; the policy does not need them.
"""
FIGURES = {
    "eval_rewards/accuracies": "held-out votes for a side whose response has the higher implicit reward",
    "eval_rewards/margins": "margin of implicit rewards towards those votes",
    "eval_votes/log_loss": "cross-entropy of the held-out votes by their raters, in nats",
    "eval_kl": "KL to the reference per token of the held-out responses, in nats",
}
"""What the card has of the last evaluation, and what it is."""


@dataclass
class TrainedPolicy:
    """A policy trained on votes.

    Attributes:
        model: base model with the adapter.
        tokenizer: of the base model.
        raters: what was learned of who voted.
        history: the Trainer's log entries; those of an evaluation have `eval_rewards/accuracies`,
            `eval_rewards/margins`, `eval_kl` and, as Markdown, `eval_samples`.
        about: what it was trained on, and figures of the last evaluation.
        notes: what is odd about the votes, one sentence each, to be shown to the user.
    """

    model: PeftModel
    tokenizer: PreTrainedTokenizerBase
    raters: RaterModel
    history: list[dict[str, Any]]
    about: About
    notes: tuple[str, ...] = ()

    @property
    def samples(self) -> str:
        """Replies to a few held-out prompts before and after, as Markdown; empty without an evaluation."""
        return next((entry["eval_samples"] for entry in self.history[::-1] if "eval_samples" in entry), "")

    def save(self, folder: str | Path, *, force: bool = False) -> None:
        """Write the adapter as PEFT does, so that any tool loads it, the raters and a model card; all or nothing.

        Args:
            folder: new or empty, unless `force`.
            force: replace a policy that this method wrote.

        Raises:
            UsageError: the folder holds something, or cannot be written to.
            TrainingError: a weight is no number.
        """
        with saved_adapter(self.model, folder, force=force) as unfinished:
            self.raters.save(unfinished)
            readme = unfinished / "README.md"
            readme.write_text(self._card(readme.read_text(encoding="utf-8")), encoding="utf-8")

    def _card(self, of_peft: str) -> str:
        config = self.model.peft_config["default"]
        base = config.base_model_name_or_path or "its base model"
        ours = "import dcpc  # makes PEFT know the method\n" if isinstance(config, DCPCConfig) else ""
        samples = f"\n## Samples\n\n{self.samples}\n" if self.samples else ""
        head = front_matter(of_peft, base)
        training = f"\n# Policy\n\n## Training\n\n{self.about.text()}"
        return f"{head}{training}{samples}{CARD.format(base=base, imports=ours)}"


def train_policy(
    train: Annotations,
    validation: Annotations | None = None,
    *,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    adapter: PeftConfig | None = None,
    raters: RaterConfig = RATERS,
    groups: Mapping[str, str] | None = None,
    training: Mapping[str, Any] | None = None,
) -> TrainedPolicy:
    """Train a causal language model on votes between responses, by DPO with raters.

    Args:
        train: votes.
        validation: held-out votes, or None.
        model: without adapter; it is the reference, too.
        tokenizer: of the model.
        adapter: None for LoRA as PEFT has it.
        raters: which effects raters have.
        groups: group by rater id.
        training: fields of `trl.DPOConfig`, and `rater_learning_rate`, `samples` and `sample_tokens` of
            `RaterDPOTrainer`.

    Raises:
        UsageError: settings that do not fit together, or TRL is not installed.
        DataError: the pairs cannot be used as they are.
        TrainingError: the loss stops being a number.
    """
    from dcpc.preference.dpo import RaterDPOTrainer

    _check_votes(train, validation)
    _check_tokenizer(model, tokenizer)
    settings = dict(training or {})
    own = {name: settings.pop(name) for name in OWN if name in settings}
    arguments = _arguments(settings)
    who = RaterModel(
        list(train.annotators),
        vote_scale(train),
        groups,
        raters,
        n_features=model.config.get_text_config().hidden_size,
    )
    start_raters(who, train)
    trainer = RaterDPOTrainer(
        model,
        who,
        arguments,
        vote_dataset(train, tokenizer),
        None if validation is None else vote_dataset(validation, tokenizer),
        processing_class=tokenizer,
        peft_config=adapter or LoraConfig(task_type="CAUSAL_LM"),
        **own,
    )
    trainer.train()
    history = trainer.state.log_history
    about = About.of(train, None, np.empty((0, len(train.labels))))
    last: dict[str, float] = next((entry for entry in history[::-1] if "eval_loss" in entry), {})
    about.more = {what: Figure(value=last[name]) for name, what in FIGURES.items() if name in last}
    notes = (*pair_notes(train), *trainer.cut_notes)
    return TrainedPolicy(trainer.model.eval(), tokenizer, who.eval(), history, about, notes)


def _arguments(settings: Mapping[str, Any]) -> DPOConfig:
    """TRL's arguments, on the CPU where there is no accelerator, which TRL's bf16 has to be told."""
    from trl import DPOConfig

    here = {} if torch.accelerator.is_available() else {"use_cpu": True}
    try:
        return DPOConfig(**{**here, **checked(DPOConfig, settings)})
    except (TypeError, ValueError, ImportError, OSError) as error:
        raise UsageError(
            f"the training arguments do not fit: {error}",
            fix="Look at `training`, the fields of trl.DPOConfig.",
        ) from error


def _check_votes(train: Annotations, validation: Annotations | None) -> None:
    check_votes(train, vote_scale(train))
    if validation is not None and validation.labels != train.labels:
        raise UsageError(
            f"the held-out votes are {', '.join(validation.labels)}, those to train on {', '.join(train.labels)}.",
            fix="Read both with the same labels=[...].",
        )


def _check_tokenizer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """The reference is the policy's own base, so both read the tokens of one tokenizer: the base model's."""
    known = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > known:
        raise UsageError(
            f"the tokenizer has {len(tokenizer):,} tokens and the model {known:,}: it belongs to another model.",
            fix="Load both from one place, AutoTokenizer.from_pretrained(NAME) and "
            "AutoModelForCausalLM.from_pretrained(NAME).",
        )
    own, given = _own_vocabulary(model, tokenizer), tokenizer.get_vocab()
    same = len(own.items() & given.items())
    least = min(len(own), len(given))
    if same < ALIKE * least:
        raise UsageError(
            f"the tokenizer is not the base model's: {least - same:,} of {least:,} tokens have another number than "
            f"in the tokenizer of {model.name_or_path}.",
            fix=f"Load both from one place: AutoTokenizer.from_pretrained({model.name_or_path!r}).",
        )


def _own_vocabulary(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """Token to number of the tokenizer that lies where the model was loaded from; empty where none is found.

    Its size does not tell: many models have rows for more tokens than their tokenizer has.
    """
    place = model.name_or_path
    if not place or place == tokenizer.name_or_path:
        return {}
    try:
        return AutoTokenizer.from_pretrained(place, local_files_only=True).get_vocab()
    except (OSError, ValueError, KeyError, ImportError):  # made from a configuration, or moved away
        return {}
