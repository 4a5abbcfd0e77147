"""What is asked of FSDP, by settings and by `accelerate launch`, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from dcpc import launcher, ranks
from dcpc.adapter import load_adapter
from dcpc.errors import UsageError
from dcpc.fit import comparable, train_adapter
from dcpc.training.sharding import Sharding, is_sharded
from several_ranks import on_ranks
from tiny_models import save_tiny_bert, sentiment_judgements


@pytest.fixture
def two(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"fsdp": False}, None),
        ({"fsdp": True}, Sharding()),
        ({"fsdp": "full_shard auto_wrap offload"}, Sharding(offload=True)),
        (
            {"fsdp": "true", "fsdp_config": {"fsdp_version": 2, "reshard_after_forward": False}},
            Sharding(reshard=False),
        ),
        (
            {"fsdp": "true", "fsdp_config": {"transformer_layer_cls_to_wrap": "A, B"}},
            Sharding(layers=("A", "B")),
        ),
    ],
)
def test_settings_say_how_to_split(two, given, expected) -> None:
    found, rest = Sharding.asked({"seed": 3, **given})
    assert found == expected
    assert rest == {"seed": 3}


def test_the_launcher_says_how_to_split(two, monkeypatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "2")
    monkeypatch.setenv("FSDP_RESHARD_AFTER_FORWARD", "false")
    monkeypatch.setenv("FSDP_TRANSFORMER_CLS_TO_WRAP", "LlamaDecoderLayer")
    assert Sharding.asked({})[0] == Sharding(reshard=False, layers=("LlamaDecoderLayer",))
    monkeypatch.setenv("FSDP_VERSION", "1")
    with pytest.raises(UsageError, match="version 1") as caught:
        Sharding.asked({})
    assert "--fsdp_version 2" in str(caught.value)


def test_a_file_may_hold_the_configuration(two, tmp_path: Path) -> None:
    path = tmp_path / "fsdp.json"
    path.write_text(json.dumps({"reshard_after_forward": False}))
    assert Sharding.asked({"fsdp": True, "fsdp_config": str(path)})[0] == Sharding(reshard=False)
    with pytest.raises(UsageError, match="cannot be read as JSON"):
        Sharding.asked({"fsdp": True, "fsdp_config": str(tmp_path / "none.json")})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fsdp": "hybrid_shard"}, "fsdp=hybrid_shard is not carried out"),
        ({"fsdp": True, "fsdp_config": {"version": 1}}, "version 1"),
        ({"fsdp": True, "fsdp_config": {"xla": True}}, "names xla"),
        ({"fsdp": True, "fsdp_config": {"activation_checkpointing": True}}, "activation checkpointing"),
    ],
)
def test_what_is_not_carried_out_is_refused(two, given, message) -> None:
    with pytest.raises(UsageError, match=message):
        Sharding.asked(given)


def test_one_process_splits_nothing() -> None:
    with pytest.raises(UsageError, match="this is the only one"):
        train_adapter(sentiment_judgements(9, ("ann", "bob")), base_model="none", training={"fsdp": True})


def test_models_that_cannot_be_split_are_refused() -> None:
    class Quantised(nn.Linear):
        is_quantized = True

    base = nn.Linear(2, 2)
    with pytest.raises(UsageError, match="all of its weights train"):
        Sharding().split(base, base, base.parameters())
    packed = Quantised(2, 2).requires_grad_(False)
    with pytest.raises(UsageError, match="quantised"):
        Sharding().split(packed, packed, packed.parameters())
    with pytest.raises(UsageError, match="no layers of the class"):
        Sharding(layers=("Nowhere",)).split(base.requires_grad_(False), base, base.parameters())


def test_a_split_training_is_comparable_to_one_that_is_not(monkeypatch) -> None:
    assert comparable({"fsdp": True, "fsdp_config": {}}) == comparable({})


def test_nothing_of_the_launchers_word_is_lost(monkeypatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with launcher.without_engine():
        assert launcher.engine() is None
    assert launcher.engine() == "FSDP"


def split_and_look(base: str, folder: Path) -> None:
    """A training as `accelerate launch --use_fsdp --fsdp_version 2` starts it; and what is left of the base model."""
    os.environ |= {
        "ACCELERATE_USE_FSDP": "true",
        "FSDP_VERSION": "2",
        "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
    }
    trained = train_adapter(
        sentiment_judgements(30, ("ann", "bob")),
        base_model=base,
        training={"num_train_epochs": 1, "gradient_checkpointing": True, "use_cpu": True},
        progress=False,
    )
    assert is_sharded(trained.model)
    base_model = trained.model.get_base_model()
    mine = torch.tensor(
        [sum((p.to_local() if hasattr(p, "to_local") else p).numel() for p in base_model.parameters())]
    )
    of_all = sum(p.numel() for p in base_model.parameters())
    assert mine < 0.62 * of_all, (mine, of_all)
    with pytest.raises(UsageError, match="split among the processes"):  # it would wait for ever
        trained.predict(["good"])
    with ranks.sharing():
        table = trained.predict(["a good film", "a bad film", "dull"], "distribution", batch_size=2)
    if ranks.is_first():
        trained.save(folder / "adapter")
        table.to_parquet(folder / "table.parquet")


def test_a_split_training_ends_in_an_ordinary_adapter(tmp_path: Path) -> None:
    import pandas as pd

    base = save_tiny_bert(tmp_path / "base", mean_pooling=True)
    ended = on_ranks(tmp_path / "streams", split_and_look, base, tmp_path)
    assert [end.code for end in ended] == [0, 0], ended[0].err + ended[1].err
    texts = ["a good film", "a bad film", "dull"]
    alone = load_adapter(tmp_path / "adapter").predict(texts, "distribution")
    pd.testing.assert_frame_equal(alone, pd.read_parquet(tmp_path / "table.parquet"), atol=1e-6, rtol=0)
