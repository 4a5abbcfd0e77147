"""The suite `preferences`: every method on every set and seed, and new raters after 0 to 20 votes.

A cell is a base model, a set, a seed and a method. Lines are appended to `cells.jsonl` as they come, and cells that
are there are skipped, so a run that was cut off goes on where it stopped. Nothing is chosen on test votes: ridge and
setting are those that predict validation votes best; then the method is fitted again to training and validation votes
together.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from dcpc.errors import DataError
from dcpc.models.minilm import MINILM
from dcpc_bench.preferences.data import SETS, Votes, load_votes, split_units
from dcpc_bench.preferences.fitting import (
    build,
    choose_ridge,
    choose_setting,
    fitted,
    learn_raters,
    log_losses,
)
from dcpc_bench.preferences.methods import METHODS

CELLS = "cells.jsonl"
SEEDS = 5
NEW_VOTES = (0, 1, 2, 5, 10, 20)
"""Votes of a new rater that are known."""
NEW_SHARE, NEW_LEAST = 0.25, 25
"""Share of the raters who are new in the second part, of those with at least so many votes besides the test's."""


def run(data: Path, output: Path, sets: Sequence[str], seeds: int = SEEDS, base_model: str = MINILM) -> None:
    """Run all cells that `output` lacks.

    Args:
        data: folder with the sets.
        output: folder of the store; made where it is missing.
        sets: names in `SETS`.
        seeds: splits, 0 to seeds − 1.
        base_model: gives the features.

    Raises:
        DataError: a set is missing.
    """
    output.mkdir(parents=True, exist_ok=True)
    store = output / CELLS
    known = [cell for cell in read_cells(store) if cell["base_model"] == base_model]
    done = {(cell["set"], cell["seed"], cell["method"]) for cell in known}
    missing = {
        (name, seed): [method for method in METHODS if (name, seed, method) not in done]
        for name in sets
        for seed in range(seeds)
    }
    wanted = [each for each, methods in missing.items() if methods]
    loaded: dict[str, Votes] = {}
    for name, seed in tqdm(wanted, "preferences", leave=False):
        if not (data / SETS[name].folder).is_dir():
            raise DataError(
                "the set is not there.", where=data / SETS[name].folder, fix="Name its folder: --data."
            )
        if name not in loaded:
            loaded = {name: load_votes(name, data, base_model)}
        for cell in cells(name, loaded[name], seed, missing[name, seed]):
            with store.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"base_model": base_model, **cell}) + "\n")


def read_cells(store: Path) -> list[dict[str, Any]]:
    """The lines of a store; a last one that was cut off is left out."""
    if not store.is_file():
        return []
    text = store.read_text(encoding="utf-8")
    lines = text[: text.rfind("\n") + 1].splitlines()
    return [json.loads(line) for line in lines]


def cells(
    name: str, votes: Votes, seed: int, methods: Sequence[str] = tuple(METHODS)
) -> Iterator[dict[str, Any]]:
    """The cells of methods on one split."""
    train, validation, test = split_units(votes, seed)
    ridge = choose_ridge(train, validation)
    both = _joined(train, validation)
    for method in methods:
        started = time.process_time()
        setting = choose_setting(method, train, validation, ridge)
        model = fitted(build(method, both, ridge, setting), both)
        loss, right = log_losses(model, test)
        new = list(_new_raters(method, both, test, ridge, setting, seed))
        yield {
            "set": name,
            "seed": seed,
            "method": method,
            "ridge": ridge,
            "setting": dict(setting),
            "votes": {"train": len(train), "validation": len(validation), "test": len(test)},
            "loss": float(loss.mean()),
            "accuracy": float(right.mean()),
            "loss_by_rater": mean_by(loss, test.rater.numpy()),
            "accuracy_by_rater": mean_by(right, test.rater.numpy()),
            "unit_losses": by_unit(loss, test.unit[test.pair.numpy()]),
            "new_raters": new,
            "cpu_seconds": round(time.process_time() - started, 2),
        }


def _joined(first: Votes, second: Votes) -> Votes:
    return replace(
        first,
        pair=torch.cat([first.pair, second.pair]),
        rater=torch.cat([first.rater, second.rater]),
        vote=torch.cat([first.vote, second.vote]),
    )


def mean_by(values: np.ndarray, groups: np.ndarray) -> float:
    """Mean over groups of their means: a rater with few votes counts like one with many."""
    counts = np.bincount(groups)
    sums = np.bincount(groups, weights=values)
    return float((sums[counts > 0] / counts[counts > 0]).mean())


def by_unit(loss: np.ndarray, unit: np.ndarray) -> dict[str, list[float]]:
    """Sum of losses and number of votes of every unit, for the bootstrap.

    Units are prompts, topics or stories. They go by a hash, which says what belongs together and copies no data.

    Args:
        loss: of J votes.
        unit: of each vote [J].
    """
    sums = {str(u): [float(loss[unit == u].sum()), int((unit == u).sum())] for u in np.unique(unit)}
    return {sha256(name.encode()).hexdigest()[:12]: value for name, value in sums.items()}


def _new_raters(
    method: str, known: Votes, test: Votes, ridge: float, setting: Mapping[str, Any], seed: int
) -> Iterator[dict[str, Any]]:
    """Losses of the test votes of raters whom the fit did not see, after a few of their votes."""
    rng = np.random.default_rng(seed)
    counts = np.bincount(known.rater.numpy(), minlength=len(known.raters))
    tested = np.bincount(test.rater.numpy(), minlength=len(known.raters))
    able = rng.permutation(np.flatnonzero((counts >= NEW_LEAST) & (tested > 0)))
    new = able[: max(1, round(len(able) * NEW_SHARE))]
    if len(able) < 2:
        return
    strange = np.isin(known.rater.numpy(), new)
    model = fitted(build(method, known, ridge, setting), known.where(~strange))
    scored = test.where(np.isin(test.rater.numpy(), new))
    order = rng.permutation(len(known))
    rank = np.full(len(known), -1)
    for rater in new:
        rows = order[known.rater.numpy()[order] == rater]
        rank[rows] = np.arange(len(rows))
    state = {key: value.clone() for key, value in model.state_dict().items()}
    for n in NEW_VOTES:
        model.load_state_dict(state)
        learn_raters(model, known.where(strange & (rank < n)))
        loss, right = log_losses(model, scored)
        yield {
            "known_votes": n,
            "loss": float(loss.mean()),
            "accuracy": float(right.mean()),
            "raters": len(new),
        }
