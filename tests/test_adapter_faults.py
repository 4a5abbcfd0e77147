"""Adapters that were altered, damaged or put on another base model are refused, with one message."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, BertConfig, BertForMaskedLM, BertForSequenceClassification, BertTokenizer

import dcpc
from dcpc.adapter import TrainedAdapter
from dcpc.errors import ModelError, TrainingError, UsageError
from dcpc.models import load_base_model
from dcpc.prediction import predict_distribution
from dcpc.task import CONFIG_FILE, TASK_FILE, WEIGHTS_FILE
from dcpc.training.checkpoints import Checkpoints
from tiny_models import save_tiny_bert, sentiment_judgements

DATA = sentiment_judgements(12)


def trained_on(base: str, **settings: object) -> TrainedAdapter:
    return dcpc.train_adapter(
        DATA, None, base_model=base, training={"max_steps": 2, **settings}, progress=False
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_bert(tmp_path_factory.mktemp("base") / "tiny", mean_pooling=True)


@pytest.fixture(scope="module")
def saved(base: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "adapter"
    trained_on(base).save(folder)
    return folder


@pytest.fixture
def adapter(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "adapter"))


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def unsealed(folder: Path) -> Path:
    """The folder without its hashes, so that the files themselves are looked at."""
    edit(folder / TASK_FILE, weights_sha256=None, config_sha256=None)
    return folder


def refused(folder: Path, says: str) -> None:
    with pytest.raises(ModelError, match=says) as refusal:
        dcpc.load_adapter(folder)
    assert refusal.value.fix
    assert refusal.value.exit_code == 1


def test_files_that_are_not_those_that_were_saved(adapter: Path) -> None:
    edit(adapter / CONFIG_FILE, bottleneck=13)
    refused(adapter, "adapter_config.json.*SHA-256")


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t * float("nan"),
        lambda t: torch.full_like(t, float("inf")),
        lambda t: t.to(torch.int8),
    ],
    ids=["nan", "inf", "int8"],
)
def test_weights_that_are_no_numbers(adapter: Path, change: Callable[[Tensor], Tensor]) -> None:
    weights = load_file(adapter / WEIGHTS_FILE)
    name = sorted(weights)[-1]
    save_file({**weights, name: change(weights[name])}, adapter / WEIGHTS_FILE)
    refused(unsealed(adapter), f"{name} holds values that are not finite")


def test_every_tensor_is_needed_and_no_other(adapter: Path) -> None:
    weights = load_file(adapter / WEIGHTS_FILE)
    unsealed(adapter)
    for name in weights:
        save_file({n: t for n, t in weights.items() if n != name}, adapter / WEIGHTS_FILE)
        refused(adapter, f"lack {name}")
    save_file({**weights, "base_model.model.more": torch.zeros(2)}, adapter / WEIGHTS_FILE)
    refused(adapter, "more")
    save_file({}, adapter / WEIGHTS_FILE)
    refused(adapter, "lack")


@pytest.mark.parametrize("content", [b"", b"junk" * 500, (2**40).to_bytes(8, "little") + b"{}"])
def test_a_file_that_is_no_safetensors(adapter: Path, content: bytes) -> None:
    (adapter / WEIGHTS_FILE).write_bytes(content)
    refused(unsealed(adapter), "no whole safetensors file")


@pytest.mark.parametrize("field", ["num_styles", "bottleneck", "rank", "num_virtual_tokens"])
def test_a_size_that_no_tensor_has_takes_no_memory(adapter: Path, field: str) -> None:
    edit(adapter / CONFIG_FILE, **{field: 10**9})
    refused(unsealed(adapter), field)


def test_huge_weights_predict_no_numbers_and_say_so(adapter: Path) -> None:
    weights = load_file(adapter / WEIGHTS_FILE)
    save_file({n: torch.full_like(t, 3e38) for n, t in weights.items()}, adapter / WEIGHTS_FILE)
    loaded = dcpc.load_adapter(unsealed(adapter))
    with pytest.raises(ModelError, match="not finite numbers"):
        loaded.predict(["the film was good"])


def test_another_base_model_of_the_same_shape(adapter: Path, tmp_path: Path) -> None:
    other = save_tiny_bert(tmp_path / "other", mean_pooling=True, seed=1)
    edit(adapter / TASK_FILE, base_model=other)
    refused(adapter, "other weights")
    edit(adapter / TASK_FILE, base_sha256=None)  # as the message says, where it is meant
    assert len(dcpc.load_adapter(adapter).predict(["the film was good"])) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"labels": []},
        {"labels": ["a"]},
        {"labels": ["a", "b", "c"]},
        {"max_length": 0},
        {"base_model": ""},
        {"base_model": None},
    ],
)
def test_a_task_that_makes_no_sense(adapter: Path, change: dict[str, object]) -> None:
    edit(adapter / TASK_FILE, **change)
    refused(adapter, next(iter(change)))


def test_a_diverged_training_leaves_nothing(base: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="diverged"):
        trained_on(base, learning_rate=1e30)
    trained = trained_on(base)
    with torch.no_grad():
        next(p for p in trained.model.parameters() if p.requires_grad).fill_(float("nan"))
    with pytest.raises(TrainingError, match="diverged"):
        trained.save(tmp_path / "adapter")
    assert list(tmp_path.iterdir()) == []


class TestBasesWithMoreOrLess:
    """Heads for other classes are replaced; a pooler that the files lack is the same whenever it is drawn."""

    @pytest.fixture
    def headed(self, tmp_path: Path) -> Callable[[type], str]:
        def make(kind: type) -> str:
            folder = Path(save_tiny_bert(tmp_path / "plain"))
            config: BertConfig = AutoConfig.from_pretrained(folder)
            config.num_labels = 3
            kind(config).save_pretrained(tmp_path / "base")
            BertTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "base")
            return str(tmp_path / "base")

        return make

    @pytest.mark.parametrize("kind", [BertForSequenceClassification, BertForMaskedLM])
    def test_a_loaded_adapter_predicts_as_the_trained_one(
        self, headed: Callable[[type], str], tmp_path: Path, kind: type
    ) -> None:
        trained = trained_on(headed(kind))
        before = predict_distribution(trained, DATA.items)
        trained.save(tmp_path / "adapter")
        torch.manual_seed(99)
        loaded = dcpc.load_adapter(tmp_path / "adapter")
        np.testing.assert_array_equal(predict_distribution(loaded, DATA.items), before)

    def test_weights_of_another_shape_are_no_head(self, headed: Callable[[type], str]) -> None:
        base = headed(BertForSequenceClassification)
        edit(Path(base) / "config.json", intermediate_size=25)
        with pytest.raises(ModelError, match="another shape"):
            load_base_model(base, ["no", "yes"])


def test_two_trainings_do_not_write_to_one_output(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "adapter")
    other = Checkpoints(tmp_path / "adapter").locked()
    with checkpoints.locked(), pytest.raises(UsageError, match="another training") as refusal, other:
        pytest.fail("both were let in")
    assert str(tmp_path / "adapter") in str(refusal.value)
    assert list(tmp_path.iterdir()) == []
    with checkpoints.locked():
        pass


def test_the_command_refuses_an_output_that_is_being_written(base: str, tmp_path: Path, capsys) -> None:
    from dcpc.cli import main

    DATA.table.to_csv(tmp_path / "data.csv", index=False)
    with FileLock(tmp_path / ".adapter-checkpoints.lock"), pytest.raises(SystemExit) as stop:
        main(["train", str(tmp_path / "data.csv"), "--model", base, "--output", str(tmp_path / "adapter")])
    assert stop.value.code == 2
    assert "another training" in capsys.readouterr().err
    assert not (tmp_path / "adapter").exists()
