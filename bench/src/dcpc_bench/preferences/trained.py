"""The suite's second part: reward models trained on `minilm`, with and without raters, and TRL's `RewardTrainer`.

All methods train the same tensors (DCPC's bottlenecks and a head with one output) for as many steps of as many rows
on the same tokens, so that only what is made of the votes differs. TRL's trainer has one chosen and one rejected
response per row: a row per vote for a side, or one per majority; ties have no place. Test votes are predicted twice:
by rewards as they are, with what the training votes say of raters and ties; and with a factor of the margins and the
pool's threshold of ties fitted on validation votes, for every method alike. The first is what a user gets, the second
leaves the scale of rewards out of the comparison, and adds the noise of few votes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch
from datasets import Dataset
from scipy.optimize import minimize
from torch import Tensor
from torch.func import functional_call
from tqdm.auto import tqdm

from dcpc import TrainedAdapter, train_adapter
from dcpc.data import Annotations
from dcpc.evaluation.votes import vote_figures
from dcpc.preference import Comparison, RaterConfig, RaterModel
from dcpc.preference.fitting import fit_raters
from dcpc.preference.pairs import response_pairs, votes_by_item
from dcpc.preference.rule import PreferRule
from dcpc.task import Task
from dcpc.tasks import Prefer
from dcpc.training.arguments import made_arguments
from dcpc.training.carriers import DCPCCarrier
from dcpc_bench.preferences.data import LABELS, SETS
from dcpc_bench.preferences.suite import by_unit, mean_by, read_cells

CELLS = "trained.jsonl"
NAMES = ("mt_bench_human", "tulu_human_eval", "pandalm")
BASE, MAX_LENGTH, PAIRS, BATCH, RATE = "minilm", 128, 300, 8, 3e-3
SHARES = (0.6, 0.15)
"""Of the units, for training and validation; the rest is the test's."""
TITLES = {
    "dcpc": "DCPC reward: ties and sides of raters",
    "dcpc-raters-again": "the same, raters fitted again afterwards",
    "dcpc-raters-off": "DCPC reward, raters alike",
    "dcpc-off-raters": "the same, raters fitted afterwards",
    "trl-votes": "TRL RewardTrainer, a row per vote",
    "trl-votes-raters": "the same, ties and raters fitted afterwards",
    "trl-majority": "TRL RewardTrainer, majority",
}
"""Methods by name, as tables call them."""
REFERENCE = "dcpc-raters-off"
AFTERWARDS = ("dcpc-raters-again", "dcpc-off-raters", "trl-votes-raters")
"""Methods whose raters are fitted to the training votes when the rewards are there, with the shipped widths."""


def run(data: Path, output: Path, sets: Sequence[str] = NAMES, seeds: int = 2, pairs: int = PAIRS) -> None:
    """Run all cells that `output` lacks; one set and seed after the other, all sets of a seed first.

    Args:
        data: folder with the sets.
        output: folder of the store; made where it is missing.
        sets: names in `SETS`, with votes a, b and tie.
        seeds: drawings of pairs and splits, 0 to seeds − 1.
        pairs: pairs drawn of a set.
    """
    output.mkdir(parents=True, exist_ok=True)
    store = output / CELLS
    # Cells of other numbers of pairs are another study.
    done = {
        (cell["set"], cell["seed"], cell["method"]) for cell in read_cells(store) if cell["pairs"] == pairs
    }
    wanted = [(name, seed) for seed in range(seeds) for name in sets]
    for name, seed in tqdm(wanted, "reward models", leave=False):
        if all((name, seed, method) in done for method in TITLES):
            continue
        parts, unit = divided(data, name, seed, pairs)
        for methods, train in ROUTES:
            methods = tuple(method for method in methods if (name, seed, method) not in done)
            if not methods:
                continue
            started = time.process_time()
            found = train(parts, seed)
            seen = [margins(found, part) for part in parts]
            for method in methods:
                cell = _cell(found, seen, method, parts, unit)
                seconds = round(time.process_time() - started, 1)
                line = {
                    "set": name,
                    "seed": seed,
                    "method": method,
                    "pairs": pairs,
                    **cell,
                    "cpu_seconds": seconds,
                }
                with store.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")


def divided(
    data: Path, name: str, seed: int, pairs: int
) -> tuple[tuple[Annotations, Annotations, Annotations], pd.Series]:
    """Training, validation and test votes on pairs drawn at random, no unit in two; and the unit of every item."""
    spec = SETS[name]
    table = pd.read_parquet(data / spec.folder)
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(table["item_id"].unique())[:pairs]
    table = table[table["item_id"].isin(drawn)].astype({"item_id": str, "annotator_id": str})
    unit = table.drop_duplicates("item_id").set_index("item_id")[spec.unit].astype(str)
    units = rng.permutation(unit.unique())
    bounds = [round(len(units) * SHARES[0]), round(len(units) * sum(SHARES))]
    part = pd.Series(np.searchsorted(bounds, np.arange(len(units)), side="right"), index=units)
    of_vote = part[unit[table["item_id"]]].to_numpy()
    columns = ["item_id", "text", "response_a", "response_b", "annotator_id"]
    votes = table[columns].assign(label=table["preference"]).reset_index(drop=True)
    whole = Annotations(votes, LABELS, "preference", name)
    return tuple(whole.where(of_vote == number) for number in range(3)), unit  # type: ignore[return-value]


Parts = tuple[Annotations, Annotations, Annotations]


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


def _by_dcpc(**effects: Any) -> Callable[[Parts, int], TrainedAdapter]:
    def train(parts: Parts, seed: int) -> TrainedAdapter:
        return train_adapter(
            parts[0],
            None,
            base_model=BASE,
            task={"name": "prefer", **effects},
            training=_settings(parts[0], seed),
            max_length=MAX_LENGTH,
            progress=False,
        )

    return train


def _by_trl(*, majority: bool) -> Callable[[Parts, int], TrainedAdapter]:
    def train(parts: Parts, seed: int) -> TrainedAdapter:
        from trl import RewardConfig, RewardTrainer

        votes = parts[0]
        torch.manual_seed(seed)
        shape = Prefer(ties=0, sides=0)
        base, tokenizer = shape.load(BASE, votes.labels)
        shape = shape.bound(votes, tokenizer)
        with TemporaryDirectory() as folder:
            settings = {**_settings(votes, seed), "output_dir": folder, "use_cpu": True, "disable_tqdm": True}
            model = DCPCCarrier().attach(base, votes, made_arguments(settings), {})
            RewardTrainer(
                model,
                args=RewardConfig(**settings, max_length=None, gradient_checkpointing=False),
                train_dataset=_chosen(votes, shape, tokenizer, majority),
                processing_class=tokenizer,
            ).train()
        described = Task(
            base_model=BASE,
            method="dcpc",
            labels=list(votes.labels),
            scale="preference",
            max_length=MAX_LENGTH,
        )
        rule = PreferRule(RaterConfig.none(), shape.scale(votes), [], shape=shape)
        rule.raters = _alike(votes)
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


ROUTES: tuple[tuple[tuple[str, ...], Callable[[Parts, int], TrainedAdapter]], ...] = (
    (("dcpc", "dcpc-raters-again"), _by_dcpc()),
    (("dcpc-raters-off", "dcpc-off-raters"), _by_dcpc(ties=0, sides=0)),
    (("trl-votes", "trl-votes-raters"), _by_trl(majority=False)),
    (("trl-majority",), _by_trl(majority=True)),
)
"""What is trained, and the methods that its rewards serve."""


@torch.no_grad()
def margins(adapter: TrainedAdapter, votes: Annotations) -> Tensor:
    """Margins of the items [I]."""
    ends = [
        adapter.reward(votes.items["text"].tolist(), votes.items[side].tolist())
        for side in ("response_a", "response_b")
    ]
    return torch.from_numpy(ends[0] - ends[1]).float()


def _cell(
    adapter: TrainedAdapter, seen: Sequence[Tensor], method: str, parts: Parts, unit: pd.Series
) -> dict[str, Any]:
    """Figures of the test votes, from the margins of all three parts."""
    rule = adapter.rule
    assert isinstance(rule, PreferRule)
    assert rule.raters is not None
    train, validation, test = parts
    raters = deepcopy(rule.raters)  # several methods take the same training's
    if method in AFTERWARDS:
        raters = RaterModel(list(train.annotators), LABELS, None, Prefer().raters)
        raters.start(train.counts.sum(axis=0).tolist())
        fit_raters(raters, Comparison(seen[0]), *_of(train, raters))
    units = unit[test.table["item_id"]].to_numpy()
    plain = _losses(raters, seen[2], test)
    factor = calibrate(raters, seen[1], validation)
    loss = _losses(raters, seen[2] * factor, test)
    votes, who, pair = _of(test, raters)
    with torch.no_grad():
        p = raters(Comparison(seen[2] * factor), who, pair).exp()
    figures = vote_figures(p.numpy(), votes.numpy(), raters.scale.sign)
    return {
        "votes": {"train": train.n_judgements, "validation": validation.n_judgements, "test": len(votes)},
        "factor": round(factor, 3),
        "loss": float(loss.mean()),
        "plain_loss": float(plain.mean()),
        **{
            name: figures[name]
            for name in ("vote_accuracy", "side_accuracy", "tie_share", "predicted_tie_share")
        },
        "loss_by_rater": mean_by(loss, test.annotator_codes),
        "unit_losses": by_unit(loss, units),
        "plain_unit_losses": by_unit(plain, units),
    }


def _alike(votes: Annotations) -> RaterModel:
    """Raters who are all alike, with the pool's threshold at what the votes' shares say."""
    raters = RaterModel([], LABELS, None, RaterConfig.none())
    raters.start(votes.counts.sum(axis=0).tolist())
    return raters


@torch.no_grad()
def _losses(raters: RaterModel, margin: Tensor, test: Annotations) -> np.ndarray:
    """Cross-entropy of every vote [J] in nats."""
    votes, who, pair = _of(test, raters)
    log_p = raters.eval()(Comparison(margin), who, pair)
    return -log_p.gather(1, votes[:, None])[:, 0].numpy()


def _of(votes: Annotations, raters: RaterModel) -> tuple[Tensor, Tensor, Tensor]:
    """Votes, their raters' numbers, and their pairs, each [J]."""
    return (
        torch.from_numpy(votes.label_codes.astype(np.int64)),
        raters.index(votes.table["annotator_id"].tolist()),
        torch.from_numpy(votes.item_codes.astype(np.int64)),
    )


def calibrate(raters: RaterModel, margin: Tensor, validation: Annotations) -> float:
    """The factor of margins, with the pool's thresholds, that predicts validation votes best; sets the thresholds."""
    votes, who, pair = _of(validation, raters)
    raters.eval()
    start = raters.thresholds.detach().double().numpy()

    def objective(point: np.ndarray) -> tuple[float, np.ndarray]:
        log_factor, thresholds = (
            torch.tensor(part, dtype=margin.dtype, requires_grad=True) for part in (point[0], point[1:])
        )
        log_p = functional_call(
            raters, {"thresholds": thresholds}, (Comparison(margin * log_factor.exp()), who, pair)
        )
        # A weak prior at 1 keeps the factor finite where margins say nothing.
        loss = -log_p.gather(1, votes[:, None]).mean() + log_factor.square() / (2 * len(votes))
        slopes = torch.autograd.grad(loss, (log_factor, thresholds))
        return float(loss.detach()), np.concatenate([np.atleast_1d(each.double().numpy()) for each in slopes])

    # A step of a line search without bounds may take the exponential out of what a float holds.
    found = minimize(
        objective, [0.0, *start], jac=True, method="L-BFGS-B", bounds=[(-5, 5)] + [(-10, 10)] * len(start)
    ).x
    with torch.no_grad():
        raters.thresholds.copy_(torch.from_numpy(found[1:]))
    return float(np.exp(found[0]))
