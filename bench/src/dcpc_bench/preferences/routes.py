"""What is trained in the study of trained reward models: our rewards, TRL's, and raters with rewards of their own.

Every route trains the same tensors of the encoder (DCPC's bottlenecks and a head with one output) for as many steps
of as many rows on the same tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from datasets import Dataset

from dcpc import TrainedAdapter, train_adapter
from dcpc.data import Annotations
from dcpc.preference import RaterConfig, RaterModel
from dcpc.preference.pairs import response_pairs, votes_by_item
from dcpc.preference.rule import PreferRule
from dcpc.task import Task
from dcpc.tasks import Prefer
from dcpc.training.arguments import made_arguments
from dcpc.training.carriers import DCPCCarrier
from dcpc.training.rule import LearningRule
from dcpc.training.trainer import with_own_rates
from dcpc_bench.preferences.own_rewards import Basis, Encoded, Kind, OwnRewardRule, Prototypes

MAX_LENGTH, BATCH, RATE = 128, 8, 3e-3
ONE_RATE: dict[str, Any] = {"head_learning_rate": RATE}
"""As TRL's trainer has it; `dcpc train` has another one for the head of `minilm`, and so has a row of TRL's."""
Route = Callable[[Annotations, int, str], TrainedAdapter]
"""From training votes, a seed and the name of a base model to a trained reward model."""


def _settings(train: Annotations, seed: int) -> dict[str, Any]:
    steps = -(-train.n_items // BATCH)  # one pass over the pairs
    return {
        "seed": seed,
        "learning_rate": RATE,
        "per_device_train_batch_size": BATCH,
        "max_steps": steps,
        "warmup_steps": 0.1,
        "bf16": True,
        "report_to": "none",
        "eval_strategy": "no",
        "save_strategy": "no",
    }


def _by_dcpc(rule: LearningRule | None = None, **effects: Any) -> Route:
    def train(votes: Annotations, seed: int, base_model: str) -> TrainedAdapter:
        return train_adapter(
            votes,
            None,
            base_model=base_model,
            task={"name": "prefer", **effects},
            training=_settings(votes, seed),
            rule=rule,
            max_length=MAX_LENGTH,
            progress=False,
        )

    return train


def _by_own_rewards(kind: Kind, std: float) -> Route:
    def train(votes: Annotations, seed: int, base_model: str) -> TrainedAdapter:
        shape = Prefer(ties=0, sides=0, **ONE_RATE)
        rule = OwnRewardRule(kind, votes, std, shape)
        return _by_dcpc(rule, ties=0, sides=0, **ONE_RATE)(votes, seed, base_model)

    return train


def _by_trl(*, majority: bool = False, own_head: bool = False) -> Route:
    def train(votes: Annotations, seed: int, base_model: str) -> TrainedAdapter:
        from trl import RewardConfig, RewardTrainer

        torch.manual_seed(seed)
        shape = Prefer(ties=0, sides=0)
        base, tokenizer = shape.load(base_model, votes.labels)
        shape = shape.bound(votes, tokenizer)
        with TemporaryDirectory() as folder:
            settings = {**_settings(votes, seed), "output_dir": folder, "use_cpu": True, "disable_tqdm": True}
            model = DCPCCarrier().attach(base, votes, made_arguments(settings), {})
            trainer = RewardTrainer(
                model,
                args=RewardConfig(**settings, max_length=None, gradient_checkpointing=False),
                train_dataset=_chosen(votes, shape, tokenizer, majority),
                processing_class=tokenizer,
            )
            if own_head:
                with_own_rates(trainer.create_optimizer(), shape.head_rates(trainer.model))
            trainer.train()
        described = Task(
            base_model=base_model,
            method="dcpc",
            labels=list(votes.labels),
            scale="preference",
            max_length=MAX_LENGTH,
        )
        rule = PreferRule(RaterConfig.none(), shape.scale(votes), [], shape=shape)
        rule.raters = alike(votes)
        return TrainedAdapter(model.eval(), tokenizer, described, rule=rule)

    return train


def _chosen(votes: Annotations, shape: Prefer, tokenizer: Any, majority: bool) -> Dataset:
    """`chosen_ids` and `rejected_ids`, as TRL's trainer wants them where tokens are made already."""
    pairs = response_pairs(votes.items)
    sides = [
        [
            fitted.ids
            for fitted in shape.encode_responses([pair[side] for pair in pairs], tokenizer, MAX_LENGTH)
        ]
        for side in (0, 1)
    ]
    sign = np.array(shape.scale(votes).sign)[votes.label_codes]
    rows = []
    for first, second, places in zip(*sides, votes_by_item(votes), strict=True):
        for said in [sign[places].sum()] if majority else sign[places]:
            ends = (first, second) if said > 0 else (second, first)
            rows += [dict(zip(("chosen_ids", "rejected_ids"), ends, strict=True))] if said else []
    return Dataset.from_list(rows)


def alike(votes: Annotations) -> RaterModel:
    """Raters who are all alike, with the pool's threshold at what the votes' shares say."""
    raters = RaterModel([], votes.labels, None, RaterConfig.none())
    raters.start(votes.counts.sum(axis=0).tolist())
    return raters


ROUTES: tuple[tuple[tuple[str, ...], Route], ...] = (
    (("dcpc-shipped",), _by_dcpc()),
    (("dcpc", "dcpc-raters-again"), _by_dcpc(**ONE_RATE)),
    (("dcpc-raters-off", "dcpc-off-raters"), _by_dcpc(ties=0, sides=0, **ONE_RATE)),
    (("trl-votes", "trl-votes-raters"), _by_trl()),
    (("trl-votes-head", "trl-votes-head-raters"), _by_trl(own_head=True)),
    (("trl-majority",), _by_trl(majority=True)),
    (("pal",), _by_own_rewards(Prototypes, 1.0)),
    (("lore",), _by_own_rewards(Basis, 0.3)),
    (("vpl",), _by_own_rewards(Encoded, 1.0)),
)
"""What is trained, and the methods that its rewards serve."""
