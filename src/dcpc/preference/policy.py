"""From votes to a policy: the data sets of DPO with raters and of TRL's own losses, and one call that trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from datasets import Dataset
from peft import LoraConfig, PeftConfig, PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dcpc.data import Annotations
from dcpc.errors import UsageError
from dcpc.preference.fitting import start_raters
from dcpc.preference.likelihood import PreferenceScale
from dcpc.preference.pairs import (
    as_prompt_and_completion,
    pair_items,
    pair_notes,
    response_pairs,
    votes_by_item,
)
from dcpc.preference.raters import RaterConfig, RaterModel

RATERS = RaterConfig(errors=1.5)
"""Raters of a policy: they err, besides calling ties and leaning to a side."""


def vote_dataset(annotations: Annotations, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """One row per pair, for `RaterDPOTrainer`.

    Args:
        annotations: votes between two responses.
        tokenizer: of the policy; with a chat template, rows are conversations.

    Returns:
        `prompt`, `chosen` (the response a), `rejected` (b), and lists `votes` (positions in `annotations.labels`) and
        `raters` (ids, empty where unknown), and the pair's number `pair`.
    """
    rows = _sides(annotations, tokenizer)
    codes = annotations.label_codes
    who = annotations.table["annotator_id"].fillna("") if annotations.has_annotators else None
    for number, (row, places) in enumerate(zip(rows, votes_by_item(annotations), strict=True)):
        row["votes"] = [int(codes[place]) for place in places]
        row["raters"] = [""] * len(places) if who is None else [str(who.iloc[place]) for place in places]
        row["pair"] = number
    return Dataset.from_list(rows)


def chosen_dataset(
    annotations: Annotations, tokenizer: PreTrainedTokenizerBase, *, majority: bool = False
) -> Dataset:
    """`prompt`, `chosen` and `rejected`, one row per vote or per pair with a majority, for TRL's own trainers.

    Ties are left out: these losses have no place for them.

    Raises:
        UsageError: nothing but ties.
    """
    sign = pd.Series(PreferenceScale(annotations.labels).sign)[annotations.label_codes].to_numpy()
    chosen = []
    for row, places in zip(_sides(annotations, tokenizer), votes_by_item(annotations), strict=True):
        signs = [sum(sign[place] for place in places)] if majority else [sign[place] for place in places]
        turned = {"prompt": row["prompt"], "chosen": row["rejected"], "rejected": row["chosen"]}
        chosen += [row if vote > 0 else turned for vote in signs if vote != 0]
    if not chosen:
        raise UsageError(
            "all votes are ties, and nothing was chosen.",
            where=annotations.source,
            fix="Train with raters, whose likelihood has ties.",
        )
    return Dataset.from_list(chosen)


def _sides(annotations: Annotations, tokenizer: PreTrainedTokenizerBase) -> list[dict[str, Any]]:
    pairs = response_pairs(pair_items(annotations), annotations.source)
    rows = []
    for a, b in pairs:
        (prompt, first), (_, second) = (as_prompt_and_completion(side, tokenizer) for side in (a, b))
        rows.append({"prompt": prompt, "chosen": first, "rejected": second})
    return rows


@dataclass
class TrainedPolicy:
    """A policy trained on votes.

    Attributes:
        model: base model with the adapter.
        tokenizer: of the base model.
        raters: what was learned of who voted.
        history: the Trainer's log entries.
        notes: what is odd about the votes, one sentence each, to be shown to the user.
    """

    model: PeftModel
    tokenizer: PreTrainedTokenizerBase
    raters: RaterModel
    history: list[dict[str, Any]]
    notes: tuple[str, ...] = ()

    def save(self, folder: str | Path) -> None:
        """Write the adapter as PEFT does, so that any tool loads it, and the raters beside it."""
        self.model.save_pretrained(str(folder))
        self.raters.save(Path(folder))


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
        training: fields of `trl.DPOConfig`, and `rater_learning_rate`.

    Raises:
        UsageError: settings that do not fit together, or TRL is not installed.
        DataError: the pairs cannot be used as they are.
        TrainingError: the loss stops being a number.
    """
    from trl import DPOConfig

    from dcpc.preference.dpo import RaterDPOTrainer

    settings = dict(training or {})
    own = {name: settings.pop(name) for name in ("rater_learning_rate",) if name in settings}
    who = RaterModel(
        list(train.annotators),
        train.labels,
        groups,
        raters,
        n_features=model.config.get_text_config().hidden_size,
    )
    start_raters(who, train)
    trainer = RaterDPOTrainer(
        model,
        who,
        DPOConfig(**settings),
        vote_dataset(train, tokenizer),
        None if validation is None else vote_dataset(validation, tokenizer),
        processing_class=tokenizer,
        peft_config=adapter or LoraConfig(task_type="CAUSAL_LM"),
        **own,
    )
    trainer.train()
    return TrainedPolicy(
        trainer.model.eval(), tokenizer, who.eval(), trainer.state.log_history, pair_notes(train)
    )
