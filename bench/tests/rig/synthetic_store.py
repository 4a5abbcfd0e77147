"""Stores as the runner writes them, of simulated methods whose quality is known."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dcpc.evaluation.measure import evaluate_distribution
from dcpc_bench.rig.store import STORE_VERSION

METHODS = (
    *("dcpc", "dcpc-paper", "full", "lora", "dora", "ia3", "bitfit", "p-tuning-v2", "linear-probe"),
    *("soft-labels", "dawid-skene", "elr", "annotator-embeddings", "annotator-heads"),
)


def write_store(
    folder: Path,
    *,
    datasets: Sequence[str] = ("a", "b"),
    conditions: Sequence[str] = ("budget=1",),
    methods: Sequence[str] = METHODS[:4],
    seeds: int = 3,
    n_items: int = 60,
    gains: dict[str, float] | None = None,
    keep: Any = lambda dataset, condition, method, seed: True,
    fail: Any = lambda dataset, condition, method, seed: False,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Write a store and return its records.

    Args:
        gains: how much better a method is than 0, in logits of the right answer.
        keep: which cells are there yet.
        fail: which of them failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    suite = {
        "name": "synthetic",
        "datasets": [{"name": d, "conditions": None} for d in datasets],
        "conditions": list(conditions),
        "methods": list(methods),
        "reference": "dcpc",
        "seeds": seeds,
        "backbone": "lora",
        "training": {"epochs": 3, "batch_size": 32},
    }
    plan = {"store": STORE_VERSION, "suite": suite, "data": dict.fromkeys(datasets, ""), "presets": {}}
    (folder / "plan.json").write_text(json.dumps(plan))
    rng = np.random.default_rng(seed)
    records = list(_records(suite, n_items, gains or {}, keep, fail, rng))
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "records.jsonl").write_text(lines)
    return records


def _records(
    suite: dict[str, Any],
    n_items: int,
    gains: dict[str, float],
    keep: Any,
    fail: Any,
    rng: np.random.Generator,
) -> Iterable[dict[str, Any]]:
    for dataset in suite["datasets"]:
        name = dataset["name"]
        counts = rng.multinomial(5, [0.5, 0.3, 0.2], size=3 * n_items)  # [pool, C]
        hard = rng.normal(0, 0.5, len(counts))
        for condition in suite["conditions"]:
            where = {"dataset": name, "condition": condition}
            strength = float(condition.rpartition("@")[2]) if "@" in condition else 0.0
            for seed in range(suite["seeds"]):
                test = np.sort(np.random.default_rng(seed).permutation(len(counts))[:n_items])
                yield {
                    "kind": "split",
                    **where,
                    "seed": seed,
                    "items": [f"{name}-{i}" for i in test],
                    "counts": counts[test].tolist(),
                }
                for method in suite["methods"]:
                    if not keep(name, condition, method, seed):
                        continue
                    if seed == 0:
                        yield _search(where, method, rng)
                    gain = 1 + gains.get(method, 0.0) - 2 * strength
                    cell = {"kind": "cell", "suite": "synthetic", **where, "method": method, "seed": seed}
                    if fail(name, condition, method, seed):
                        yield cell | _failed("needs\nannotator ids")
                    else:
                        yield cell | _measured(counts[test], gain + hard[test], rng)


def _failed(reason: str) -> dict[str, Any]:
    cost = {
        "parameters": 0,
        "steps": 0,
        "seconds": 0.0,
        "memory_mib": 800.0,
        "device": "cpu",
        "commit": "c0ffee" * 6,
    }
    return {
        "status": "failed",
        "reason": reason,
        "setting": {},
        "on_edge": [],
        "metrics": {},
        "history": [],
    } | cost


def _search(where: dict[str, str], method: str, rng: np.random.Generator) -> dict[str, Any]:
    trials = [
        {"setting": {"learning_rate": r}, "epochs": 1.0, "loss": float(rng.random())} for r in (1e-4, 1e-3)
    ]
    best = min(trials, key=lambda t: t["loss"])
    edge = ["learning_rate"] if rng.random() < 0.2 else []
    return {
        "kind": "search",
        **where,
        "method": method,
        "status": "done",
        "reason": None,
        "trials": trials,
        "setting": best["setting"],
        "on_edge": edge,
        "precision": "float32",
        "device": "cpu",
        "seconds": 1.0,
        "commit": "c0ffee" * 6,
    }


def _measured(counts: np.ndarray, gain: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    shares = counts / counts.sum(axis=1, keepdims=True)
    logits = (
        2 * gain[:, None] * shares + rng.normal(0, 0.6, counts.shape) + rng.normal(0, 0.05, counts.shape[1])
    )
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    decisions = p.argmax(axis=1)
    errors = counts.sum(axis=1) - counts[np.arange(len(counts)), decisions]
    metrics = evaluate_distribution(p, counts, "nominal", decisions)
    metrics |= {f"{name}_argmax": metrics[name] for name in ("macro_f1", "accuracy")}
    error = float(errors.sum() / counts.sum())
    losses = np.sort(rng.random(4))[::-1] + 0.5
    return {
        "status": "done",
        "reason": None,
        "metrics": metrics | {"judgement_error": error, "consensus_judgement_error": error},
        "setting": {"learning_rate": 1e-3},
        "on_edge": [],
        "parameters": int(rng.integers(10, 12)) * 1000,
        "steps": 100,
        "precision": "float32",
        "device": "cpu",
        "seconds": float(10 + rng.random()),
        "memory_mib": 800.0,
        "commit": "c0ffee" * 6,
        "history": [{"epoch": float(e), "loss": 1.0, "eval_loss": float(x)} for e, x in enumerate(losses, 1)],
        "distribution": p.tolist(),
        "decisions": decisions.tolist(),
        "person_errors": errors.tolist(),
    }
