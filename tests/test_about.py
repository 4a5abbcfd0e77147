"""The model card says what an adapter was trained on, and figures with intervals that hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dcpc import load_adapter, train_adapter
from dcpc.about import mean_over_items
from tiny_models import save_tiny_bert, sentiment_judgements


def test_the_interval_covers_the_mean_of_items_whose_judgements_hang_together() -> None:
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(300):
        sizes = rng.integers(1, 6, 80)
        items = np.repeat(np.arange(80), sizes)
        values = (rng.random(80) < 0.3)[items].astype(float)  # all judgements of an item alike
        found = mean_over_items(values, items)
        assert found.low is not None
        assert found.high is not None
        covered.append(found.low <= 0.3 <= found.high)
    assert 0.9 < np.mean(covered) < 0.98


def test_the_card_of_a_saved_adapter(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    base = save_tiny_bert(tmp_path / "base", mean_pooling=True)
    trained = train_adapter(
        sentiment_judgements(40),
        0.5,
        base_model=base,
        training={"max_steps": 2, "logging_steps": 1, "report_to": "tensorboard"},
        checkpoints=tmp_path / "run",
        progress=False,
    )
    trained.save(tmp_path / "adapter")
    card = (tmp_path / "adapter" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\n")
    assert "library_name: peft" in card.partition("\n---\n")[0]
    assert base not in card.partition("\n---\n")[0], "the hub refuses a path as the base model"
    assert "More Information Needed" not in card
    assert "trained on 40 judgements of 20 items by 2 annotators" in card
    assert card.count("95 % interval") == 3
    assert "load_adapter(" in card
    about = load_adapter(tmp_path / "adapter").task.about
    assert about is not None
    assert (about.held_out_items, about.held_out_judgements) == (20, 40)
    assert _logged(tmp_path / "run") >= {"train/loss", "train/loss_task", "eval/loss"}


def _logged(folder: Path) -> set[str]:
    """Names of the curves in TensorBoard's files below a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    names: set[str] = set()
    for file in folder.rglob("events.out.tfevents.*"):
        events = EventAccumulator(str(file))
        events.Reload()
        names |= set(events.Tags()["scalars"])
    return names
