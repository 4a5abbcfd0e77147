"""The objective end to end on tiny language models, whose labels are words or candidates behind a prompt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import TrainerCallback

from dcpc.data import Annotations
from dcpc.errors import DCPCError
from dcpc.tasks import Choose, LabelWords, TaskShape
from dcpc.training import DCPCTrainer, DCPCTrainingArguments, ItemDataset
from dcpc.training.carriers import carrier_of
from tiny_language_models import save_tiny_language_model
from tiny_models import sentiment_judgements

PAIR_TERMS = {"loss_ambiguity", "loss_alignment", "loss_preference"}


SHAPES: dict[str, TaskShape] = {
    "label-words": LabelWords(words={"no": ["no", "never so"], "yes": ["yes", "indeed"]}),
    "choose": Choose(),
}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_language_model(tmp_path_factory.mktemp("base") / "llama")


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_language_model(tmp_path_factory.mktemp("base") / "t5", "t5")


@pytest.fixture(scope="module", params=list(SHAPES))
def case(request: pytest.FixtureRequest, llama: str) -> tuple[str, str]:
    """A base model's folder and the task shape that is trained on it."""
    return llama, request.param


def judged(task: str) -> Annotations:
    """16 items with two judgements each; where candidates are chosen, every item has two or three of its own."""
    data = sentiment_judgements()
    if task == "label-words":
        return data
    more = {"item 0": ["it was winter"], "item 5": ["a room"]}
    table = data.table.assign(
        choices=[json.dumps(["no, never so", "yes", *more.get(item, [])]) for item in data.table["item_id"]],
        label=data.table["label"].map({"no": "choice1", "yes": "choice2"}),
    )
    return Annotations(table, ("choice1", "choice2", "choice3"))


def build(
    case: tuple[str, str], output: Path, *, side="right", adapter=None, callbacks=None, **arguments
) -> DCPCTrainer:
    """A trainer on `judged` items."""
    torch.manual_seed(0)
    folder, task = case
    data, shape = judged(task), SHAPES[task]
    base, tokenizer = shape.load(folder, data.labels)
    tokenizer.padding_side = side
    settings = {
        "output_dir": str(output),
        "per_device_train_batch_size": 4,
        "num_train_epochs": 1,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "save_strategy": "no",
        "disable_tqdm": True,
        "use_cpu": True,
        "seed": 3,
    }
    given = DCPCTrainingArguments(**{**settings, **arguments})
    carrier = carrier_of("dcpc")
    model = carrier.attach(base, data, given, adapter or {})
    shape = shape.bound(data, tokenizer)
    index = {name: number for number, name in enumerate(data.annotators)}
    items = ItemDataset(data, tokenizer, index, None, shape=shape)
    return DCPCTrainer(
        model, given, items, items, processing_class=tokenizer, carrier=carrier, callbacks=callbacks
    )


def trainable(trainer: DCPCTrainer) -> dict[str, torch.Tensor]:
    return {n: t.detach().clone() for n, t in trainer.model.named_parameters() if t.requires_grad}


def assert_same(first: DCPCTrainer, second: DCPCTrainer, atol: float) -> None:
    torch.testing.assert_close(trainable(second), trainable(first), atol=atol, rtol=0)


def assert_moved(trainer: DCPCTrainer, start: dict[str, torch.Tensor]) -> None:
    end = trainable(trainer)
    assert max((end[name] - tensor).abs().max().item() for name, tensor in start.items()) > 1e-3


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_training_lowers_the_loss_by_all_terms(case, tmp_path, preset):
    trainer = build(case, tmp_path, preset=preset, num_train_epochs=6, logging_steps=4)
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    assert trainer.evaluate()["eval_loss"] < before - 0.03
    last = [entry for entry in trainer.state.log_history if "loss" in entry][-1]
    expected = PAIR_TERMS if preset == "paper" else {"loss_annotators"}
    assert {"loss_task"} | expected <= last.keys()
    assert all(last[name] == last[name] for name in expected)


def test_an_encoder_decoder_learns_label_words(t5, tmp_path):
    trainer = build((t5, "label-words"), tmp_path, num_train_epochs=6)
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    assert trainer.evaluate()["eval_loss"] < before - 0.03


def test_gradient_accumulation_equals_a_larger_batch(case, tmp_path, monkeypatch):
    """Without pair terms, which see other pairs in a larger batch, and with ε = 0."""
    settings = {
        "preset": "none",
        "optim": "sgd",
        "learning_rate": 0.1,
        "max_grad_norm": 0.0,
        "adapter": {"annotator_mode": "none"},
    }
    large = build(case, tmp_path / "large", per_device_train_batch_size=8, **settings)
    small = build(
        case,
        tmp_path / "small",
        per_device_train_batch_size=2,
        gradient_accumulation_steps=4,
        **settings,
    )
    start = trainable(large)
    monkeypatch.setattr(torch, "randn", lambda *shape, device=None: torch.zeros(*shape, device=device))
    for trainer in (large, small):
        trainer.train()
        assert trainer.state.global_step == 2
    assert_moved(large, start)
    assert_same(large, small, atol=1e-5)


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_the_side_of_the_padding_changes_nothing(case, tmp_path, preset):
    trainers = {}
    for side in ("left", "right"):  # noise is drawn from the state that building leaves
        trainer = build(case, tmp_path / side, side=side, preset=preset, optim="sgd", learning_rate=0.1)
        batch = trainer.data_collator([trainer.train_dataset[i] for i in range(4)])
        padded = batch["attention_mask"][:, 0 if side == "left" else -1] == 0
        assert padded.any()
        start = trainable(trainer)
        trainer.train()
        assert_moved(trainer, start)
        trainers[side] = trainer
    assert_same(trainers["left"], trainers["right"], atol=1e-5)


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_a_resumed_training_ends_where_an_uninterrupted_one_does(case, tmp_path, preset):
    settings = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "preset": preset}
    straight = build(case, tmp_path / "straight", **settings)
    straight.train()
    interrupted = build(case, tmp_path / "parts", callbacks=[_StopAfter(2)], **settings)
    interrupted.train()
    assert interrupted.state.global_step == 2
    resumed = build(case, tmp_path / "parts", **settings)
    resumed.train(resume_from_checkpoint=str(tmp_path / "parts" / "checkpoint-2"))
    assert resumed.state.global_step == 4
    assert_same(straight, resumed, atol=1e-6)


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_training_under_bfloat16_stays_near_float32(case, tmp_path, preset):
    trainers = [
        build(case, tmp_path / str(bf16), preset=preset, bf16=bf16, learning_rate=1e-3, num_train_epochs=2)
        for bf16 in (False, True)
    ]
    for trainer in trainers:
        trainer.train()
    exact, rounded = (trainer.evaluate()["eval_loss"] for trainer in trainers)
    assert rounded != exact  # the autocast acts
    assert rounded == pytest.approx(exact, abs=0.05)
    assert all(tensor.dtype == torch.float32 for tensor in trainable(trainers[1]).values())


def test_language_models_have_no_frozen_readout(case, tmp_path):
    """It adds class logits of pooled states, and a language model's labels are words or candidates."""
    trainer = build(case, tmp_path, preset="default")
    assert trainer.model.active_peft_config.readout is False
    with pytest.raises((DCPCError, ValueError), match="readout"):
        build(case, tmp_path, adapter={"readout": True})


class _StopAfter(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step >= self.step
