"""What is asked of DeepSpeed, by settings and by `accelerate launch`, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from dcpc.errors import UsageError
from dcpc.fit import comparable, train_adapter
from dcpc.training import zero
from dcpc.training.arguments import DCPCTrainingArguments
from dcpc.training.zero import Zero
from tiny_models import sentiment_judgements

STAGE_2 = {"zero_optimization": {"stage": 2}}


@pytest.fixture
def two(monkeypatch) -> None:
    """Two processes; DeepSpeed seems installed, which reading its configuration does not need."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(zero, "find_spec", lambda name: name)


def asked(config: dict) -> Zero:
    found, rest = Zero.asked({"seed": 3, "deepspeed": config})
    assert rest == {"seed": 3}
    assert found is not None
    return found


def test_nothing_is_asked_for() -> None:
    assert Zero.asked({"seed": 3}) == (None, {"seed": 3})


def test_a_configuration_is_taken_apart(two, tmp_path: Path) -> None:
    config = {
        "zero_optimization": {"stage": 2, "reduce_bucket_size": 1000, "allgather_bucket_size": "auto"},
        "gradient_clipping": "auto",
        "train_micro_batch_size_per_gpu": 4,
        "bf16": {"enabled": "auto"},
        "steps_per_print": 10,
    }
    path = tmp_path / "zero.json"
    path.write_text(json.dumps(config))
    for given in (config, str(path)):
        found = asked(given)
        assert found.splitting == {"stage": 2, "reduce_bucket_size": 1000}
        assert found.told["train_micro_batch_size_per_gpu"] == 4
        assert "gradient_clipping" not in found.told


def test_the_launcher_asks(two, monkeypatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2")
    monkeypatch.setenv("ACCELERATE_GRADIENT_CLIPPING", "0.5")
    found, _ = Zero.asked({})
    assert found is not None
    assert (found.splitting["stage"], found.told["gradient_clipping"]) == (2, 0.5)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"zero_optimization": {"stage": 3}}, "ZeRO of stage 3 is not carried out"),
        ({"zero_optimization": {"stage": 0}}, "ZeRO of stage 0 is not carried out"),
        ({"train_batch_size": "auto"}, "the ZeRO optimization config"),
        ({"zero_optimization": {"stage": 2, "offload_optimizer": {"device": "cpu"}}}, "not offloaded"),
        ({**STAGE_2, "bf16": {"enabled": True}}, "own `bf16`"),
        ({**STAGE_2, "optimizer": {"type": "Lion"}}, "a part `optimizer`"),
        ({**STAGE_2, "curriculum_learning": {"enabled": True}}, "names curriculum_learning"),
        ("none-here.json", "configuration does not fit"),
    ],
)
def test_what_is_not_carried_out_is_refused(two, config, message) -> None:
    with pytest.raises(UsageError, match=message):
        asked(config)


def test_one_process_splits_nothing() -> None:
    with pytest.raises(UsageError, match="this is the only one"):
        train_adapter(
            sentiment_judgements(9, ("ann", "bob")), base_model="none", training={"deepspeed": STAGE_2}
        )


def test_two_engines_are_one_too_many(two) -> None:
    with pytest.raises(UsageError, match="two ways to split"):
        Zero.asked({"deepspeed": STAGE_2, "fsdp": True})


def test_without_deepspeed_its_extra_is_named(two, monkeypatch) -> None:
    monkeypatch.setattr(zero, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="not installed") as caught:
        asked(STAGE_2)
    assert "dcpc[deepspeed]" in str(caught.value)


def test_numbers_may_not_contradict_the_settings(tmp_path: Path, request) -> None:
    arguments = DCPCTrainingArguments(
        output_dir=str(tmp_path), per_device_train_batch_size=4, max_grad_norm=1.0, use_cpu=True
    )
    request.getfixturevalue("two")
    asked({**STAGE_2, "gradient_clipping": 1.0, "gradient_accumulation_steps": 1}).check(arguments)
    with pytest.raises(UsageError, match=r"gradient_clipping=0.5, and the training's settings 1.0") as caught:
        asked({**STAGE_2, "gradient_clipping": 0.5}).check(arguments)
    assert "max_grad_norm" in str(caught.value)


def test_tensors_of_two_types_are_not_joined() -> None:
    half = torch.nn.Linear(2, 2)
    half.bias.data = half.bias.data.bfloat16()
    optimizer = torch.optim.SGD(half.parameters(), lr=0.1)
    with pytest.raises(UsageError, match="some tensors are bfloat16 and some float32"):
        Zero({"stage": 2}, {}).engine(half, optimizer, None, print)


def test_a_training_with_deepspeed_is_comparable_to_one_without() -> None:
    assert comparable({"deepspeed": STAGE_2}) == comparable({})
