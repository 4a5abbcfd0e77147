"""The suite's second part: reward models trained on a base model, with and without raters, and TRL's `RewardTrainer`.

All methods train the same tensors for as many steps (`dcpc_bench.preferences.routes`), so that only what is made of
the votes differs. TRL's trainer has one chosen and one rejected
response per row: a row per vote for a side, or one per majority; ties have no place. Test votes are predicted twice:
by rewards as they are, with what the training votes say of raters and ties; and with a factor of the margins and the
pool's threshold of ties fitted on validation votes, for every method alike. The first is what a user gets, the second
leaves the scale of rewards out of the comparison, and adds the noise of few votes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.func import functional_call
from tqdm.auto import tqdm

from dcpc import TrainedAdapter
from dcpc.data import Annotations
from dcpc.evaluation.votes import vote_figures
from dcpc.models.minilm import MINILM
from dcpc.preference import Comparison, RaterModel
from dcpc.preference.fitting import fit_raters
from dcpc.preference.rule import PreferRule
from dcpc.tasks import Prefer
from dcpc_bench.preferences.data import SETS
from dcpc_bench.preferences.routes import ROUTES, alike
from dcpc_bench.preferences.suite import by_unit, mean_by, read_cells

Parts = tuple[Annotations, Annotations, Annotations]
CELLS = "trained.jsonl"
NAMES = ("mt_bench_human", "tulu_human_eval", "pandalm")
PAIRS = 300
SHARES = (0.6, 0.15)
"""Of the units, for training and validation; the rest is the test's."""
TITLES = {
    "dcpc-shipped": "DCPC reward as shipped: ties and sides of raters, the head at a rate of its own",
    "dcpc": "DCPC reward: ties and sides of raters",
    "dcpc-raters-again": "the same, raters fitted again afterwards",
    "dcpc-raters-off": "DCPC reward, raters alike",
    "dcpc-off-raters": "the same, raters fitted afterwards",
    "trl-votes": "TRL RewardTrainer, a row per vote",
    "trl-votes-raters": "the same, ties and raters fitted afterwards",
    "trl-votes-head": "TRL RewardTrainer, a row per vote, the head at DCPC's rate for it",
    "trl-votes-head-raters": "the same, ties and raters fitted afterwards",
    "trl-majority": "TRL RewardTrainer, majority",
    "pal": "Mixture of prototypes per rater (PAL-like)",
    "lore": "Reward basis per rater (LoRe-like)",
    "vpl": "Weights encoded from a rater's votes (VPL-like)",
}
"""Methods by name, as tables call them."""
REFERENCE = "dcpc-raters-off"
AFTERWARDS = ("dcpc-raters-again", "dcpc-off-raters", "trl-votes-raters", "trl-votes-head-raters")
"""Methods whose raters are fitted to the training votes when the rewards are there, with the shipped widths."""


def run(
    data: Path,
    output: Path,
    sets: Sequence[str] = NAMES,
    seeds: int = 2,
    pairs: int = PAIRS,
    methods: Sequence[str] = tuple(TITLES),
    base_model: str = MINILM,
) -> None:
    """Run all cells that `output` lacks; one set and seed after the other, all sets of a seed first.

    Args:
        data: folder with the sets.
        output: folder of the store; made where it is missing.
        sets: names in `SETS`, with votes a, b and tie.
        seeds: drawings of pairs and splits, 0 to seeds − 1.
        pairs: pairs drawn of a set.
        methods: names in `TITLES`.
        base_model: that trains.
    """
    output.mkdir(parents=True, exist_ok=True)
    store = output / CELLS
    # Cells of other base models or numbers of pairs are another study.
    study = {"base_model": base_model, "pairs": pairs}
    known = [cell for cell in read_cells(store) if study.items() <= cell.items()]
    done = {(cell["set"], cell["seed"], cell["method"]) for cell in known}
    wanted = [(name, seed) for seed in range(seeds) for name in sets]
    for name, seed in tqdm(wanted, "reward models", leave=False):
        if all((name, seed, method) in done for method in methods):
            continue
        parts, unit = divided(data, name, seed, pairs)
        for served, train in ROUTES:
            missing = [each for each in served if each in methods and (name, seed, each) not in done]
            if not missing:
                continue
            started = time.process_time()
            found = train(parts[0], seed, base_model)
            seen = [margins(found, part) for part in parts]
            for method in missing:
                cell = _cell(found, seen, method, parts, unit)
                seconds = round(time.process_time() - started, 1)
                which = {"set": name, "seed": seed, "method": method}
                line = {**which, **study, **cell, "cpu_seconds": seconds}
                with store.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")


def divided(data: Path, name: str, seed: int, pairs: int) -> tuple[Parts, pd.Series]:
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
    whole = Annotations(votes, spec.labels, "preference", name)
    return tuple(whole.where(of_vote == number) for number in range(3)), unit  # type: ignore[return-value]


@torch.no_grad()
def margins(adapter: TrainedAdapter, votes: Annotations) -> Tensor:
    """Margins of the votes [J]: of anybody's reward, or of the rater's own where raters have one."""
    rater, pair = _rater_numbers(adapter, votes), votes.item_codes
    found = np.zeros(len(votes.table))
    if (rater < 0).any():
        found = _item_margins(adapter, votes, "consensus")[pair]
    if (rater >= 0).any():
        own = _item_margins(adapter, votes, "annotators")  # [I, A]
        found = np.where(rater >= 0, own[pair, rater.clip(min=0)], found)
    return torch.from_numpy(found).float()


def _rater_numbers(adapter: TrainedAdapter, votes: Annotations) -> np.ndarray:
    """Columns of the raters' own rewards [J]; −1 for raters who have none."""
    raters = _rule(adapter).raters
    if raters is None or raters.styles is None:
        return np.full(len(votes.table), -1)
    return raters.index(votes.table["annotator_id"].tolist()).numpy()


def _item_margins(adapter: TrainedAdapter, votes: Annotations, as_: str) -> np.ndarray:
    first, second = (
        adapter.reward(votes.items["text"].tolist(), votes.items[side].tolist(), as_)
        for side in ("response_a", "response_b")
    )
    return first - second


def _rule(adapter: TrainedAdapter) -> PreferRule:
    assert isinstance(adapter.rule, PreferRule)
    return adapter.rule


def _raters(adapter: TrainedAdapter, method: str, train: Annotations, margin: Tensor) -> RaterModel:
    """What makes votes of margins: the training's raters, or raters fitted afterwards with the shipped widths."""
    trained = _rule(adapter).raters
    assert trained is not None
    if method in AFTERWARDS:
        raters = RaterModel(list(train.annotators), train.labels, None, Prefer().raters)
        raters.start(train.counts.sum(axis=0).tolist())
        return fit_raters(raters, Comparison(margin), *_of(train, raters))
    if trained.styles is None:
        return deepcopy(trained)  # several methods take the same training's
    raters = alike(train)  # what sets raters apart is in the margins already
    raters.thresholds.data.copy_(trained.thresholds)
    return raters


def _cell(
    adapter: TrainedAdapter, seen: Sequence[Tensor], method: str, parts: Parts, unit: pd.Series
) -> dict[str, Any]:
    """Figures of the test votes, from the margins of all votes of the three parts."""
    train, validation, test = parts
    raters = _raters(adapter, method, train, seen[0])
    units = unit[test.table["item_id"]].to_numpy()
    plain = _losses(raters, seen[2], test)
    factor = calibrate(raters, seen[1], validation)
    loss = _losses(raters, seen[2] * factor, test)
    votes, who = _of(test, raters)
    with torch.no_grad():
        p = raters(Comparison(seen[2] * factor), who).exp()
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


@torch.no_grad()
def _losses(raters: RaterModel, margin: Tensor, test: Annotations) -> np.ndarray:
    """Cross-entropy of every vote [J] in nats."""
    votes, who = _of(test, raters)
    log_p = raters.eval()(Comparison(margin), who)
    return -log_p.gather(1, votes[:, None])[:, 0].numpy()


def _of(votes: Annotations, raters: RaterModel) -> tuple[Tensor, Tensor]:
    """Votes and their raters' numbers, each [J]."""
    return (
        torch.from_numpy(votes.label_codes.astype(np.int64)),
        raters.index(votes.table["annotator_id"].tolist()),
    )


def calibrate(raters: RaterModel, margin: Tensor, validation: Annotations) -> float:
    """The factor of margins, with the pool's thresholds, that predicts validation votes best; sets the thresholds."""
    votes, who = _of(validation, raters)
    raters.eval()
    start = raters.thresholds.detach().double().numpy()

    def objective(point: np.ndarray) -> tuple[float, np.ndarray]:
        log_factor, thresholds = (
            torch.tensor(part, dtype=margin.dtype, requires_grad=True) for part in (point[0], point[1:])
        )
        log_p = functional_call(
            raters, {"thresholds": thresholds}, (Comparison(margin * log_factor.exp()), who)
        )
        # A weak prior at 1 keeps the factor finite where margins say nothing.
        loss = -log_p.gather(1, votes[:, None]).mean() + log_factor.square() / (2 * len(votes))
        # Votes for a and b alone have no thresholds.
        slopes = torch.autograd.grad(loss, (log_factor, thresholds), materialize_grads=True)
        return float(loss.detach()), np.concatenate([np.atleast_1d(each.double().numpy()) for each in slopes])

    # A step of a line search without bounds may take the exponential out of what a float holds.
    found = minimize(
        objective, [0.0, *start], jac=True, method="L-BFGS-B", bounds=[(-5, 5)] + [(-10, 10)] * len(start)
    ).x
    with torch.no_grad():
        raters.thresholds.copy_(torch.from_numpy(found[1:]))
    return float(np.exp(found[0]))
