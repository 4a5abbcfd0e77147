"""The best epoch comes back: from memory as from a checkpoint, for any carrier, in both precisions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel

from dcpc.adapter import TrainedAdapter, load_adapter
from dcpc.errors import UsageError
from dcpc.fit import train_adapter
from dcpc.objective import ObjectiveConfig
from dcpc.prediction import predict_annotators, predict_distribution
from dcpc.training.best import BestWeights
from dcpc.training.carriers import Carrier
from dcpc.training.dcpc_rule import DCPCRule
from dcpc.tuner.acting import dcpc_tuner
from tiny_models import save_tiny_bert, sentiment_judgements

DATA = sentiment_judgements(24)
TRAIN, HELD_OUT = DATA.of_items(DATA.item_ids[:16]), DATA.of_items(DATA.item_ids[16:])
# Held-out labels are the opposite of the training's, so that for some methods the best epoch is not the last.
HELD_OUT = replace(
    HELD_OUT, table=HELD_OUT.table.assign(label=HELD_OUT.table["label"].map({"no": "yes", "yes": "no"}))
)


class Everything(Carrier):
    """Full fine-tuning: no adapter."""

    name = "full"

    def attach(self, base: Any, train: Any, arguments: Any, settings: Any) -> torch.nn.Module:
        base.requires_grad_(True)
        return base


class Unsaved(DCPCRule):
    saves = False


FULL = Everything()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_bert(tmp_path_factory.mktemp("base") / "model", mean_pooling=True)


def train(
    folder: str, method: str | Carrier, checkpoints: Path | None = None, **options: Any
) -> TrainedAdapter:
    settings = {"num_train_epochs": 3, "per_device_train_batch_size": 4, "learning_rate": 3e-2, "seed": 1}
    settings |= options.pop("training", {})
    return train_adapter(
        TRAIN,
        HELD_OUT,
        base_model=folder,
        method=method,
        training=settings,
        checkpoints=checkpoints,
        progress=False,
        **options,
    )


def validation_loss(adapter: TrainedAdapter) -> float:
    """Cross-entropy of each judgement as anybody's and, where annotators are known, as its annotator's.

    Epochs are compared with adapter and readout counting half each; they are weighed after the last.
    """
    tuner = dcpc_tuner(adapter.model)
    if tuner is not None and tuner.readout is not None:
        tuner.readout.shares.fill_(0.5)
    items, codes = HELD_OUT.items, HELD_OUT.item_codes
    ways = [predict_distribution(adapter, items)[codes]]
    if adapter.task.method == "dcpc":
        names = HELD_OUT.annotators[HELD_OUT.annotator_codes].tolist()
        ways.append(predict_annotators(adapter, items, codes, names))
    weights = 1 / np.bincount(codes)[codes] / len(items)
    rows = np.arange(len(codes))
    return float(np.mean([-(weights * np.log(p[rows, HELD_OUT.label_codes])).sum() for p in ways]))


def losses(adapter: TrainedAdapter) -> list[float]:
    return [entry["eval_loss"] for entry in adapter.history if "eval_loss" in entry]


@pytest.mark.parametrize("method", ["dcpc", "lora", "p-tuning-v2", FULL])
def test_the_kept_weights_are_those_of_the_best_epoch(folder: str, method: str | Carrier) -> None:
    adapter = train(folder, method)
    assert validation_loss(adapter) == pytest.approx(min(losses(adapter)), abs=1e-5)


def test_the_last_epoch_stays_where_that_is_asked_for(folder: str, tmp_path: Path) -> None:
    """With checkpoints as without, and however much worse it is."""
    for checkpoints in (None, tmp_path):
        adapter = train(folder, FULL, checkpoints, training={"load_best_model_at_end": False})
        assert losses(adapter)[-1] > min(losses(adapter)) + 0.1
        assert validation_loss(adapter) == pytest.approx(losses(adapter)[-1], abs=1e-5)


def test_the_lowest_loss_decides_and_only_trained_tensors_are_kept() -> None:
    model, best = torch.nn.Linear(2, 1), BestWeights()
    model.bias.requires_grad_(False)
    for epoch, loss in enumerate([0.9, 0.4, 0.7]):
        model.weight.data.fill_(epoch)
        best.on_evaluate(None, None, None, model=model, metrics={"eval_loss": loss})
    best.restore(model)
    assert (best.loss, set(best.weights)) == (0.4, {"weight"})
    torch.testing.assert_close(model.weight.detach(), torch.ones(1, 2))


@pytest.mark.parametrize("method", ["dcpc", "lora"])
def test_memory_and_checkpoints_agree(folder: str, method: str, tmp_path: Path) -> None:
    in_memory, on_disk = train(folder, method), train(folder, method, tmp_path)
    assert losses(in_memory) == losses(on_disk)
    items = HELD_OUT.items
    np.testing.assert_array_equal(
        predict_distribution(in_memory, items), predict_distribution(on_disk, items)
    )


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("method", ["dcpc", "lora", "p-tuning-v2", FULL])
def test_bf16_trains_validates_and_predicts_alike(folder: str, method: str | Carrier, attention: str) -> None:
    adapter = train(
        folder,
        method,
        training={"bf16": True, "learning_rate": 1e-2},
        base_options={"attn_implementation": attention},
    )
    assert {p.dtype for p in adapter.model.parameters()} == {torch.float32}
    assert validation_loss(adapter) == pytest.approx(min(losses(adapter)), abs=1e-5)
    plain = train(folder, method, training={"learning_rate": 1e-2})
    assert validation_loss(plain) != validation_loss(adapter)  # autocast was on
    assert validation_loss(plain) == pytest.approx(validation_loss(adapter), abs=0.03)


def test_what_is_no_adapter_is_not_saved(folder: str, tmp_path: Path) -> None:
    for adapter in (train(folder, FULL), train(folder, "lora", rule=Unsaved(ObjectiveConfig.preset("none")))):
        with pytest.raises(UsageError, match="cannot be saved as an adapter"):
            adapter.save(tmp_path / "adapter")
    assert not (tmp_path / "adapter").exists()


def test_a_bf16_adapter_loads_like_any_other(folder: str, tmp_path: Path) -> None:
    adapter = train(folder, "lora", training={"bf16": True, "learning_rate": 1e-2})
    adapter.save(tmp_path)
    loaded = load_adapter(tmp_path)
    assert isinstance(loaded.model, PeftModel)
    items = HELD_OUT.items
    np.testing.assert_allclose(
        predict_distribution(loaded, items), predict_distribution(adapter, items), atol=0.02
    )
