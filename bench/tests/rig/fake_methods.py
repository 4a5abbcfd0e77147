"""Methods that train in no time and log that they did, for tests of everything around them."""

from __future__ import annotations

import os
import signal
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dcpc.errors import UsageError
from dcpc_bench import methods
from dcpc_bench.fitted import Fitted
from dcpc_bench.rig.suite import Suite, make_suite


@dataclass
class FakeFitted(Fitted):
    prior: np.ndarray
    seed: int
    own: bool
    validation_loss: float
    parameters: int = 100
    steps: int = 10
    setting: dict[str, Any] = field(default_factory=dict)
    on_edge: tuple[str, ...] = ()
    history: list[dict[str, Any]] = field(
        default_factory=lambda: [{"epoch": 1.0, "loss": 0.5}, {"train_runtime": 2.0}]
    )

    def probabilities(self, items: pd.DataFrame) -> np.ndarray:
        rng = np.random.default_rng([self.seed, len(items)])
        p = self.prior + rng.random((len(items), len(self.prior)))
        return p / p.sum(axis=1, keepdims=True)

    def judged_probabilities(
        self, items: pd.DataFrame, item_codes: np.ndarray, annotators: list[str]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        p = self.probabilities(items)
        return p, p[item_codes][:, ::-1] if self.own else None


@dataclass
class FakeMethod:
    """Its validation loss is the distance of the learning rate from `best`, times the epochs left to train."""

    name: str
    best: float = 0.1
    own: bool = False
    overlap: bool = False
    error: Exception | None = None
    log: Path | None = None
    pause: float = 0.0
    source: str = "tests"
    on: str = "none"
    fit: None = None
    needs_overlap: bool = False
    searched_as: str | None = None
    grid: dict[str, tuple] = field(
        default_factory=lambda: {"learning_rate": (0.01, 0.1, 1.0), "dropout": (0.0,)}
    )

    def train(self, train: Any, validation: Any, settings: Any, setting: dict, seed: int) -> FakeFitted:
        if self.error is not None:
            raise self.error
        if self.overlap and train.n_judgements == train.n_items:
            raise UsageError("needs two judgements")
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"{self.name} {setting['learning_rate']} {settings.epochs} {seed}\n")
        time.sleep(self.pause)
        loss = abs(np.log(setting["learning_rate"] / self.best)) + 1 / settings.epochs
        return FakeFitted(train.counts.sum(axis=0) / train.n_judgements, seed, self.own, float(loss))


def install(monkeypatch: pytest.MonkeyPatch, *fakes: FakeMethod) -> None:
    monkeypatch.setattr(methods, "METHODS", {fake.name: fake for fake in fakes})


def fake_suite(**changes: Any) -> Suite:
    """Two methods on the generated reviews."""
    return make_suite(
        {
            "name": "fake",
            "datasets": ["generated-reviews"],
            "methods": ["a", "b"],
            "reference": "a",
            "seeds": 2,
            "conditions": ["budget=1", "budget=all"],
            "caps": {"train": 30, "validation": 10, "test": 20},
            "search": {"trials": 3, "fractions": [0.5, 1.0]},
        }
        | changes
    )


def killed(output: Any, *rest: Any) -> None:
    """A worker process that the system ends, as for want of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def cut_off(output: Any, *rest: Any) -> None:
    """A worker process that ends while it sends its records: a length of 100 bytes, and 7 of them."""
    os.write(output.fileno(), struct.pack("!i", 100) + b"records")
    os.kill(os.getpid(), signal.SIGKILL)
