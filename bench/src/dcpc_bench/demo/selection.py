"""How the demo's learning rates were chosen: `python -m dcpc_bench.demo.selection` prints the grid."""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from dcpc.fit import train_adapter
from dcpc.prediction import predict_distribution
from dcpc_bench.demo.data import DemoData
from dcpc_bench.demo.methods import BASE_MODEL, LEARNING_RATES, MAX_LENGTH, METHODS, training_settings

WORLD = 99
"""Seed of a world of its own: other reviews and annotators than those of the demo."""


def noisy_validation_losses(items: int = 640, held_out: int = 320) -> dict[tuple[str, float], float]:
    """Cross-entropy of held-out judgements in nats, by method and learning rate."""
    data = DemoData.generate(items + held_out, WORLD, test_items=0)
    judged = data.judge(0)
    train, validation = judged.of_items(judged.item_ids[:items]), judged.of_items(judged.item_ids[items:])
    losses = {}
    runs = [(method, rate) for method in METHODS for rate in LEARNING_RATES]
    for method, rate in track(runs, description="Trainings"):
        adapter = train_adapter(
            train,
            None,
            base_model=BASE_MODEL,
            method=method.key,
            adapter=method.adapter,
            training=training_settings(rate, seed=0),
            max_length=MAX_LENGTH,
            progress=False,
        )
        predicted = predict_distribution(adapter, validation.items)  # [I, C]
        chosen = predicted[validation.item_codes, validation.label_codes]  # [J]
        losses[method.name, rate] = float(-np.log(chosen).mean())
    return losses


def main() -> None:
    """Print the grid, one row per method."""
    losses = noisy_validation_losses()
    table = Table("Method", *(f"{rate:g}" for rate in LEARNING_RATES), title="Noisy validation cross-entropy")
    for method in METHODS:
        table.add_row(method.name, *(f"{losses[method.name, rate]:.4f}" for rate in LEARNING_RATES))
    Console().print(table)


if __name__ == "__main__":
    main()
