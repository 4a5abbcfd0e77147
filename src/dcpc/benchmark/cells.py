"""A cell is one run: a method, a budget of annotations, a seed. Each leaves one file, whole or not at all."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dcpc.benchmark.methods import METHODS, Settings
from dcpc.data.annotations import Annotations
from dcpc.errors import DCPCError, UsageError
from dcpc.evaluation.decision import decide
from dcpc.evaluation.distribution import jensen_shannon
from dcpc.evaluation.majority import majority_labels
from dcpc.evaluation.splits import Budget, draw_budget, split_by_item
from dcpc.evaluation.summary import evaluate_distribution
from dcpc.files import atomic_file


@dataclass(frozen=True)
class Cell:
    """One run of the benchmark."""

    budget: Budget
    method: str
    seed: int

    def path(self, store: Path) -> Path:
        """The cell's file in the store."""
        return store / f"{self.method}-{self.budget}-{self.seed}.json"


def open_store(store: Path, plan: dict[str, Any]) -> None:
    """Make the store, or go on in one that was started with the same plan.

    Raises:
        UsageError: the store belongs to a benchmark of other data or settings.
    """
    path, text = store / "plan.json", json.dumps(plan, indent=2, sort_keys=True)
    if not path.exists():
        with atomic_file(path) as temporary:
            temporary.write_text(text)
    elif path.read_text() != text:
        raise UsageError(
            "this folder holds a benchmark of other data or settings",
            where=store,
            fix="Choose a new --output, or repeat the options in plan.json to go on.",
        )


def run_cell(cell: Cell, annotations: Annotations, settings: Settings, store: Path) -> dict[str, Any]:
    """Run a cell that is not in the store yet; a failure that a user can mend is recorded as its result.

    Validation and test items are the same for every method and budget of a seed. Training and validation see
    the budget only, the test all judgements.
    """
    path = cell.path(store)
    if path.exists():
        return json.loads(path.read_text())
    started = time.perf_counter()
    try:
        result = _measure(cell, annotations, settings)
    except DCPCError as error:
        result = {"failed": str(error)}
    result |= asdict(cell) | {"seconds": round(time.perf_counter() - started, 2)}
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(result))
    return result


def _measure(cell: Cell, annotations: Annotations, settings: Settings) -> dict[str, Any]:
    split = split_by_item(annotations, cell.seed)
    seen = split._replace(
        train=draw_budget(split.train, cell.budget, cell.seed),
        validation=draw_budget(split.validation, cell.budget, cell.seed),
    )
    outcome = METHODS[cell.method](seen, settings, cell.seed)
    counts = split.test.counts
    decisions = decide(outcome.probabilities, outcome.offsets)
    divergence = jensen_shannon(outcome.probabilities.astype(np.float64), split.test.soft_labels)
    return {
        "metrics": evaluate_distribution(outcome.probabilities, counts, annotations.scale, decisions),
        "parameters": outcome.parameters,
        "setting": outcome.choice.setting,
        "on_edge": list(outcome.choice.on_edge),
        "items": split.test.item_ids.tolist(),
        "jensen_shannon": divergence.tolist(),
        "majority": majority_labels(counts).tolist(),
        "decisions": decisions.tolist(),
    }
