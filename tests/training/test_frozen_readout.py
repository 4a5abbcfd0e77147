"""The readout in training: fitted before, silent during, weighed and folded into the weights after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from dcpc.adapters import load_adapter
from dcpc.prediction import predict_distribution
from dcpc.training.fit import train_adapter
from dcpc.training.frozen_readout import PRIOR_STD, SHARES, FrozenReadout, fit_readout
from dcpc.training.rule import LearningRule
from dcpc.training.step import dcpc_tuner
from tiny_models import save_tiny_bert, sentiment_judgements


def trained(folder: Path, *, validates: bool, epochs: int = 1, **training: Any) -> Any:
    data = sentiment_judgements(24)
    ids = data.item_ids
    return train_adapter(
        data.of_items(ids[:16]),
        data.of_items(ids[16:]) if validates else None,
        base_model=save_tiny_bert(folder / "base", mean_pooling=True),
        training={"num_train_epochs": epochs, "per_device_train_batch_size": 8, **training},
        progress=False,
    )


def test_the_regression_finds_a_linear_rule_and_shrinks_where_there_is_none() -> None:
    rng = np.random.default_rng(0)
    states = rng.normal(3.0, 2.0, (400, 20)).astype(np.float32)
    label = (states[:, 0] > 3).astype(int)
    fitted = fit_readout(states, np.eye(2)[label])
    p = np.exp(log_softmax(fitted.logits(states), axis=1))
    assert (p.argmax(axis=1) == label).mean() > 0.95
    noise = np.eye(2)[rng.integers(2, size=400)]
    fitted = fit_readout(states, noise)
    p = np.exp(log_softmax(fitted.logits(states), axis=1))
    assert np.abs(p - noise.mean(axis=0)).max() < 0.1


def test_one_item_and_a_label_that_nobody_gave_do_not_break_it() -> None:
    fit_readout(np.ones((1, 3), dtype=np.float32), np.array([[1.0, 0.0]]))
    rng = np.random.default_rng(0)
    fitted = fit_readout(rng.normal(size=(30, 4)).astype(np.float32), np.eye(3)[rng.integers(2, size=30)])
    assert all(np.isfinite(part).all() for part in vars(fitted).values())


def test_held_out_predictions_come_from_regressions_that_did_not_see_the_item() -> None:
    rng = np.random.default_rng(0)
    states = rng.normal(size=(60, 200)).astype(
        np.float32
    )  # more directions than items: everything can be learned
    votes = np.eye(2)[rng.integers(2, size=60)]
    fitted = fit_readout(states, votes)
    surprise = -(votes * fitted.held_out).sum(axis=1).mean()
    assert surprise > 0.6  # random labels cannot be predicted


@pytest.mark.parametrize("validates", [True, False])
def test_training_ends_with_a_plain_adapter_that_predicts_the_same_when_loaded(
    tmp_path: Path, validates: bool
) -> None:
    adapter = trained(tmp_path, validates=validates)
    readout = dcpc_tuner(adapter.model).readout
    assert readout.enabled
    items = sentiment_judgements(24).items
    adapter.save(tmp_path / "adapter")
    loaded = load_adapter(tmp_path / "adapter")
    np.testing.assert_allclose(
        predict_distribution(loaded, items), predict_distribution(adapter, items), atol=1e-6
    )


def test_without_validation_both_count_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = []
    weigh = FrozenReadout.weigh
    monkeypatch.setattr(FrozenReadout, "weigh", lambda self, *args: chosen.append(weigh(self, *args)))
    trained(tmp_path, validates=False)
    assert chosen == [(0.5, 0.5)]


def test_the_weights_are_the_most_probable_of_the_grid_given_held_out_judgements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    weigh = FrozenReadout.weigh

    def spied(self: FrozenReadout, model: Any, held_out: Any) -> Any:
        batches = list(held_out)
        with torch.no_grad():
            for a in SHARES:
                for b in SHARES:
                    losses = [self._losses(model, batch, [(a, b)])[0] for batch in batches]
                    seen[a, b] = sum(losses)
        seen["chosen"] = weigh(self, model, batches)
        rule = LearningRule()
        seen["after"] = sum(
            float(rule.validation_loss(model, batch)) * len(batch["items"]) for batch in batches
        )
        return seen["chosen"]

    monkeypatch.setattr(FrozenReadout, "weigh", spied)
    trained(tmp_path, validates=True, epochs=3)
    chosen, after = seen.pop("chosen"), seen.pop("after")
    del seen[0.0, 0.0]
    prior = {(a, b): ((a - 0.5) ** 2 + (b - 0.5) ** 2) / (2 * PRIOR_STD**2) for a, b in seen}
    assert seen[chosen] + prior[chosen] == pytest.approx(min(seen[key] + prior[key] for key in seen))
    assert after == pytest.approx(seen[chosen], rel=1e-4)


def test_a_resumed_training_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    data = sentiment_judgements(24)
    base = save_tiny_bert(tmp_path / "base", mean_pooling=True)

    def run(folder: str, epochs: int, resume: bool) -> Any:
        return train_adapter(
            data.of_items(data.item_ids[:16]),
            data.of_items(data.item_ids[16:]),
            base_model=base,
            training={
                "num_train_epochs": 3,
                "per_device_train_batch_size": 8,
                "max_steps": 2 * epochs,
                "lr_scheduler_type": "constant",
                "save_total_limit": 5,
            },
            checkpoints=tmp_path / folder,
            resume=resume,
            progress=False,
        )

    whole = predict_distribution(run("whole", 2, False), data.items)
    run("parts", 1, False)
    resumed = predict_distribution(run("parts", 2, True), data.items)
    np.testing.assert_allclose(resumed, whole, atol=1e-6)
