"""The trainer: it trains, resumes exactly, and refuses to train in silence what cannot be trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import TrainerCallback

from dcpc.errors import TrainingError, UsageError
from dcpc.models import load_base_model
from dcpc.training import DCPCTrainer, DCPCTrainingArguments, ItemDataset
from dcpc.training import step as step_module
from dcpc.training.carriers import carrier_of
from dcpc.training.checks import gradients_checked
from dcpc.training.own_state import STATE_FILE
from dcpc.tuner.acting import dcpc_tuner
from tiny_models import save_tiny_bert, sentiment_judgements, with_module

ANNOTATORS = ("ann", "bob")
EVERYTHING = {"target_correction": 0.5, "correction_start": 0.0, "ema_decay": 0.9, "view_pairs": True}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_bert(tmp_path_factory.mktemp("base") / "model")


def build(
    folder,
    output: Path,
    *,
    config=None,
    carrier=None,
    mode="output",
    held_out=False,
    callbacks=None,
    **arguments,
):
    """A trainer of a tiny adapter on 16 items with two judgements each: 4 steps per epoch."""
    torch.manual_seed(0)
    base, tokenizer = load_base_model(folder, ["no", "yes"])
    config = config or with_module(
        task_type="SEQ_CLS",
        num_virtual_tokens=2,
        num_styles=3,
        correction_hidden=4,
        annotators=list(ANNOTATORS),
        annotator_mode=mode,
    )
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
    dataset = ItemDataset(sentiment_judgements(), tokenizer, {name: i for i, name in enumerate(ANNOTATORS)})
    return DCPCTrainer(
        get_peft_model(base, config),
        DCPCTrainingArguments(**{**settings, **arguments}),
        dataset,
        dataset if held_out else None,
        processing_class=tokenizer,
        callbacks=callbacks,
        carrier=carrier,
    )


def trainable(trainer) -> dict[str, torch.Tensor]:
    return {n: t.detach().clone() for n, t in trainer.model.named_parameters() if t.requires_grad}


def assert_same_weights(first, second) -> None:
    torch.testing.assert_close(second, first, atol=1e-6, rtol=0)  # names what differs, and by how much


@pytest.mark.parametrize("mode", ["output", "prefix", "none"])
@pytest.mark.parametrize("preset", ["default", "paper"])
def test_training_lowers_the_loss_on_what_it_sees(folder, tmp_path, mode, preset):
    trainer = build(
        folder, tmp_path, mode=mode, preset=preset, num_train_epochs=8, held_out=True, logging_steps=4
    )
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    assert trainer.evaluate()["eval_loss"] < before - 0.03
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert logs[-1]["loss"] < logs[0]["loss"]
    pairs = {"loss_ambiguity", "loss_alignment", "loss_preference"} if preset == "paper" else set()
    assert {"loss_task"} | pairs | ({"loss_annotators"} if mode != "none" else set()) <= logs[-1].keys()


def test_the_validation_loss_is_a_mean_over_items_whatever_their_batches(folder, tmp_path):
    losses = [
        build(folder, tmp_path, held_out=True, per_device_eval_batch_size=size).evaluate()["eval_loss"]
        for size in (16, 5)  # three batches of five items and one of a single one
    ]
    assert losses[1] == pytest.approx(losses[0], abs=1e-6)


def test_a_process_has_one_gpu_of_several(folder, tmp_path):
    """Batches stay as large as was asked for."""
    first = build(folder, tmp_path)
    arguments = DCPCTrainingArguments(str(tmp_path), per_device_train_batch_size=4, use_cpu=True)
    arguments._n_gpu = 4
    trainer = DCPCTrainer(
        first.model, arguments, first.train_dataset, processing_class=first.processing_class
    )
    assert (trainer.args.n_gpu, trainer.args.train_batch_size) == (1, 4)
    assert len(trainer.get_train_dataloader()) == 4


def test_the_base_model_stays_as_it_was(folder, tmp_path):
    trainer = build(folder, tmp_path)
    frozen = {n: t.clone() for n, t in trainer.model.named_parameters() if not t.requires_grad}
    before = trainable(trainer)
    trainer.train()
    after = dict(trainer.model.named_parameters())
    assert all(torch.equal(after[name], tensor) for name, tensor in frozen.items())
    assert not any(torch.equal(after[name], tensor) for name, tensor in before.items() if "key" in name)


def test_other_adapters_train_with_the_same_trainer(folder, tmp_path):
    trainer = build(folder, tmp_path, config=LoraConfig(task_type="SEQ_CLS", r=2), preset="none")
    before = trainable(trainer)
    trainer.train()
    assert any(not torch.equal(tensor, before[name]) for name, tensor in trainable(trainer).items())


@pytest.mark.parametrize("mode", ["output", "prefix"])
def test_a_resumed_training_ends_where_an_uninterrupted_one_does(folder, tmp_path, mode):
    """Adapter, averaged weights and running consensus, with noise, annotator dropout, views and schedule."""
    settings = {
        "max_steps": 6,
        "save_strategy": "steps",
        "save_steps": 2,
        "objective": EVERYTHING,
        "mode": mode,
    }
    straight = build(folder, tmp_path / "straight", **settings)
    straight.train()
    interrupted = build(folder, tmp_path / "parts", callbacks=[_StopAfter(2)], **settings)
    interrupted.train()
    assert interrupted.state.global_step == 2
    resumed = build(folder, tmp_path / "parts", **settings)
    resumed.train(resume_from_checkpoint=str(tmp_path / "parts" / "checkpoint-2"))
    assert resumed.state.global_step == 6
    assert_same_weights(trainable(straight), trainable(resumed))
    for step in (4, 6):
        for file in ("adapter_model.safetensors", STATE_FILE):
            path = f"checkpoint-{step}/{file}"
            assert_same_weights(load_file(tmp_path / "straight" / path), load_file(tmp_path / "parts" / path))
    state = load_file(tmp_path / "parts" / "checkpoint-6" / STATE_FILE)
    assert state["consensus.visits"].sum() == 24  # six steps of four items


def test_resuming_without_the_trainers_own_state_is_refused(folder, tmp_path):
    settings = {"max_steps": 2, "save_strategy": "steps", "save_steps": 1, "objective": EVERYTHING}
    build(folder, tmp_path, **settings).train()
    (tmp_path / "checkpoint-1" / STATE_FILE).unlink()
    with pytest.raises(TrainingError, match=STATE_FILE):
        build(folder, tmp_path, **settings).train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))


def test_the_averaged_weights_are_what_stays_and_what_is_evaluated(folder, tmp_path):
    trainer = build(
        folder,
        tmp_path,
        objective={"ema_decay": 0.9},
        held_out=True,
        eval_strategy="epoch",
        num_train_epochs=2,
    )
    trainer.train()
    average = trainer._averaged.average
    assert_same_weights({name: average[name] for name in trainable(trainer)}, trainable(trainer))
    during = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert trainer.evaluate()["eval_loss"] == pytest.approx(during[-1], abs=1e-6)


def test_the_best_checkpoint_comes_back_with_its_own_average(folder, tmp_path):
    trainer = build(
        folder,
        tmp_path,
        objective={"ema_decay": 0.9},
        held_out=True,
        num_train_epochs=3,
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=True,  # so that the best epoch is the first one, not the last
    )
    trainer.train()
    best = max(e["eval_loss"] for e in trainer.state.log_history if "eval_loss" in e)
    assert trainer.state.best_model_checkpoint.endswith("checkpoint-4")
    assert trainer.evaluate()["eval_loss"] == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("correction", [False, True])
def test_gradient_accumulation_equals_a_larger_batch(folder, tmp_path, monkeypatch, correction):
    """Without pair terms and with ε = 0; pair terms see other pairs in a larger batch."""
    config = with_module(task_type="SEQ_CLS", num_virtual_tokens=2, correction=correction)
    settings = {
        "config": config,
        "preset": "none",
        "optim": "sgd",
        "learning_rate": 0.5,
        "max_grad_norm": 0.0,
    }
    large = build(folder, tmp_path / "large", per_device_train_batch_size=8, **settings)
    small = build(
        folder,
        tmp_path / "small",
        per_device_train_batch_size=2,
        gradient_accumulation_steps=4,
        **settings,
    )
    start = trainable(large)
    assert_same_weights(start, trainable(small))
    monkeypatch.setattr(torch, "randn", lambda *shape, device=None: torch.zeros(*shape, device=device))
    for trainer in (large, small):
        trainer.train()
        assert trainer.state.global_step == 2
    assert not torch.allclose(
        torch.cat([t.flatten() for t in start.values()]),
        torch.cat([t.flatten() for t in trainable(large).values()]),
    )
    assert_same_weights(trainable(large), trainable(small))
    losses = [[e["loss"] for e in t.state.log_history if "loss" in e] for t in (large, small)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)


def test_weight_decay_leaves_factors_alone(folder, tmp_path):
    """The neutral value of what a carrier names is not 0, as the length of the base model's weights."""
    base, _ = load_base_model(folder, ["no", "yes"])
    carrier, factor = carrier_of("lora"), "lora_magnitude_vector"
    config = carrier.checked_config(base, ["no", "yes"], 4, {"use_dora": True})
    trainer = build(folder, tmp_path, config=config, carrier=carrier, preset="none")
    decayed = trainer.get_decay_parameter_names(trainer.model)
    named = [name for name, p in trainer.model.named_parameters() if factor in name and p.requires_grad]
    assert named
    assert not set(named) & set(decayed)
    assert any("classifier" in name for name in decayed)


def test_a_tensor_that_no_gradient_reaches_stops_the_training(folder, tmp_path):
    trainer = build(folder, tmp_path)
    trainer.model.get_base_model().register_parameter("forgotten", torch.nn.Parameter(torch.ones(2)))
    before = trainable(trainer)
    with pytest.raises(TrainingError, match=r"1 trainable tensor receives no gradient: .*forgotten"):
        trainer.train()
    assert_same_weights(before, trainable(trainer))


EVERY_STEP = {"save_strategy": "steps", "save_steps": 1, "objective": {"ema_decay": 0.9}}


class TestBrokenLoss:
    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_stops_with_the_step_and_a_last_checkpoint_that_loads(self, folder, tmp_path, monkeypatch, value):
        self._break_the_loss(monkeypatch, at=3, value=value)
        trainer = build(folder, tmp_path, **EVERY_STEP)
        with pytest.raises(TrainingError, match="at step 3") as caught:
            trainer.train()
        last = tmp_path / "checkpoint-2"
        assert str(last) in str(caught.value)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-1", "checkpoint-2"]
        monkeypatch.undo()
        assert all(tensor.isfinite().all() for tensor in load_file(last / STATE_FILE).values())
        loaded = PeftModel.from_pretrained(load_base_model(folder, ["no", "yes"])[0], last)
        assert all(tensor.isfinite().all() for tensor in loaded.parameters())
        again = build(folder, tmp_path, **EVERY_STEP)
        again.train(resume_from_checkpoint=str(last))
        assert again.state.global_step == 4

    def test_says_where_no_checkpoint_was_written(self, folder, tmp_path, monkeypatch):
        self._break_the_loss(monkeypatch, at=1, value=float("nan"))
        with pytest.raises(TrainingError, match="No checkpoint had been written yet"):
            build(folder, tmp_path).train()

    def test_a_gradient_that_is_no_number_stops_before_it_reaches_the_weights(self, folder, tmp_path):
        trainer = build(folder, tmp_path, callbacks=[_BreakGradients(3)], **EVERY_STEP)
        with pytest.raises(TrainingError, match="gradient became nan at step 3"):
            trainer.train()
        assert not (tmp_path / "checkpoint-3").exists()
        assert all(tensor.isfinite().all() for tensor in trainable(trainer).values())

    @staticmethod
    def _break_the_loss(monkeypatch, at: int, value: float) -> None:
        calls = []
        original = step_module.training_loss

        def broken(*args, **kwargs):
            calls.append(1)
            output = original(*args, **kwargs)
            return (
                type(output)(output.loss * value, output.terms, output.logits) if len(calls) == at else output
            )

        monkeypatch.setattr(step_module, "training_loss", broken)


class TestArguments:
    def test_fields_of_the_preset_are_changed(self, tmp_path):
        arguments = DCPCTrainingArguments(
            output_dir=str(tmp_path), preset="paper", objective={"depth_gamma": 2.0}, use_cpu=True
        )
        assert arguments.objective_config().depth_gamma == 2.0
        assert not arguments.objective_config().detach_similarity

    def test_a_wrong_field_stops_before_training(self, folder, tmp_path):
        with pytest.raises(UsageError, match="no field `gamma`"):
            build(folder, tmp_path, objective={"gamma": 2.0})


def test_target_correction_waits_for_its_epoch(folder, tmp_path):
    trainer = build(
        folder, tmp_path, objective={"target_correction": 0.5, "correction_start": 1.0}, num_train_epochs=2
    )
    trainer.train()
    assert trainer.rule.consensus.visits.tolist() == [1] * 16


def test_annotators_with_ids_end_with_different_preferences(folder, tmp_path):
    trainer = build(folder, tmp_path, num_train_epochs=3)
    trainer.train()
    tuner = dcpc_tuner(trainer.model.eval())
    dataset = trainer.train_dataset
    batch = trainer.data_collator([dataset[0], dataset[1]])
    tokens = {k: v for k, v in batch.items() if k in ("input_ids", "attention_mask", "token_type_ids")}
    with torch.no_grad():
        ann, bob = (
            trainer.model(**tokens, annotator_ids=torch.tensor([number] * 2)).logits for number in (0, 1)
        )
        unknown = trainer.model(**tokens, annotator_ids=torch.tensor([-1, -1])).logits
        plain = trainer.model(**tokens).logits
    assert not torch.allclose(ann, bob)
    assert torch.equal(unknown, plain)
    assert tuner.annotator_kl() > 0


def test_distributed_training_sees_the_forward_pass(folder, tmp_path):
    """Else processes would not share gradients, and would drift apart in silence."""
    trainer = build(folder, tmp_path / "run")
    assert trainer.args.ddp_find_unused_parameters is False
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(4)])
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        wrapped = torch.nn.parallel.DistributedDataParallel(trainer.model)
        passes = []
        wrapped.register_forward_hook(lambda *_: passes.append(1))
        with gradients_checked(trainer.model):
            trainer.compute_loss(wrapped, batch).backward()
        del wrapped  # freed after the group, it can wait for ever for a thread of gloo that waits for it
    finally:
        torch.distributed.destroy_process_group()
    assert passes == [1]


class _StopAfter(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step >= self.step


class _BreakGradients(TrainerCallback):
    """Stands for an overflow in the backward pass of a finite loss."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args, state, control, model=None, **kwargs):
        if state.global_step + 1 == self.step:
            parameter = next(tensor for tensor in model.parameters() if tensor.requires_grad)
            self.handle = parameter.register_hook(lambda gradient: gradient * float("nan"))

    def on_pre_optimizer_step(self, args, state, control, **kwargs):
        if state.global_step + 1 == self.step:
            self.handle.remove()
