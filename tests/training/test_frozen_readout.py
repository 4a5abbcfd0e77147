"""The readout in training: fitted before, silent during, weighed after."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel, get_peft_model

from dcpc.adapter import load_adapter
from dcpc.errors import TrainingError
from dcpc.fit import train_adapter
from dcpc.models import load_base_model
from dcpc.objective import ObjectiveConfig
from dcpc.pooling import mean_of_tokens
from dcpc.prediction import predict_distribution
from dcpc.regression.logistic import Judged
from dcpc.training import (
    DCPCTrainer,
    DCPCTrainingArguments,
    ItemCollator,
    ItemDataset,
    dcpc_rule,
    frozen_readout,
)
from dcpc.training.dcpc_rule import DCPCRule
from dcpc.training.frozen_readout import PRIOR_STD, SHARES, FrozenReadout
from dcpc.training.readout_regression import fit_readout
from dcpc.training.rule import LearningRule, tokens_of
from dcpc.tuner import DCPCModel
from dcpc.tuner.acting import dcpc_tuner
from tiny_models import judgements, save_tiny_bert, sentiment_judgements, with_module


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


def tiny_trainer(
    folder: Path, *, validates: bool = True, task_type: str | None = "SEQ_CLS", annotator_mode: str = "output",
    **training: Any,
) -> DCPCTrainer:  # fmt: skip
    """A trainer of two epochs of two steps, on sixteen items."""
    data = sentiment_judgements(24)
    path = str(folder / "base") if (folder / "base").is_dir() else save_tiny_bert(folder / "base")
    torch.manual_seed(0)
    base, tokenizer = load_base_model(path, data.labels)
    annotators = list(data.annotators)
    config = with_module(
        task_type=task_type,
        rank=2,
        num_virtual_tokens=0,
        readout=True,
        annotators=annotators,
        annotator_mode=annotator_mode,
    )
    settings = {
        "output_dir": str(folder / "runs"),
        "per_device_train_batch_size": 8,
        "num_train_epochs": 2,
        "eval_strategy": "epoch" if validates else "no",
        "save_strategy": "no",
        "disable_tqdm": True,
        "use_cpu": True,
    }
    index = {name: number for number, name in enumerate(annotators)}
    train, held_out = (
        ItemDataset(data.of_items(ids), tokenizer, index) for ids in (data.item_ids[:16], data.item_ids[16:])
    )
    return DCPCTrainer(
        get_peft_model(base, config),
        DCPCTrainingArguments(**{**settings, **training}),
        train,
        held_out if validates else None,
        processing_class=tokenizer,
    )


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


def passes(model: Any, batch: dict[str, torch.Tensor]) -> int:
    """Forward passes of the base model that one prediction takes."""
    seen = []
    handle = model.get_base_model().register_forward_hook(lambda *_: seen.append(1))
    with torch.no_grad():
        model.eval()(**tokens_of(batch))
    handle.remove()
    return len(seen)


@pytest.mark.parametrize("one_pass", [True, False])
def test_a_prediction_takes_one_pass_unless_asked_otherwise(tmp_path: Path, one_pass: bool) -> None:
    trainer = tiny_trainer(tmp_path, objective={"one_pass": one_pass})
    trainer.train()
    batch = trainer.data_collator([trainer.train_dataset[3]])
    assert passes(trainer.model, batch) == (1 if one_pass else 2)
    assert trainer.model.active_peft_config.readout_states == ("adapted" if one_pass else "frozen")


def test_the_last_readout_is_the_regression_on_the_states_of_the_adapters_pass(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path)
    trainer.train()
    tuner = dcpc_tuner(trainer.model)
    model, annotations = trainer.model.eval(), trainer.train_dataset.annotations
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(16)])
    tuner.readout.enabled = False
    with torch.no_grad():
        output = model(**tokens_of(batch), output_hidden_states=True)
    states = torch.cat([mean_of_tokens(s, batch["attention_mask"]) for s in output.hidden_states], dim=-1)
    names = annotations.annotators[annotations.annotator_codes].tolist()
    found = fit_readout(
        Judged(
            states.numpy(),
            annotations.item_codes,
            annotations.label_codes,
            tuner.annotator_index(names).numpy(),
            2,
            annotations.n_classes,
        )
    )
    tuner.readout.enabled = True
    adapter, readout = tuner.readout.shares.tolist()
    expected = adapter * output.logits.numpy() + readout * found.logits(states.numpy())
    with torch.no_grad():
        said = model(**tokens_of(batch)).logits
    np.testing.assert_allclose(said.numpy(), expected, atol=1e-3)


def test_annotators_keep_the_effects_of_the_regression(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    start = dcpc_rule.start_annotators
    monkeypatch.setattr(
        dcpc_rule,
        "start_annotators",
        lambda p, effects: (start(p, effects), started.append(p.mean.clone())),
    )
    trainer = tiny_trainer(tmp_path, learning_rate=0.1, weight_decay=0.5, logging_steps=1)
    trainer.train()
    tuner = dcpc_tuner(trainer.model)
    assert started[0].any()
    torch.testing.assert_close(tuner.annotators.mean, started[0], rtol=0, atol=0)
    assert not tuner.annotators.held
    logged = set().union(*trainer.state.log_history)
    assert "loss_task" in logged
    assert "loss_annotators" not in logged


def test_annotators_go_on_training_where_the_data_are_read_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen_readout, "MOST_ITEMS", 8)
    trainer = tiny_trainer(tmp_path, logging_steps=1)
    assert not dcpc_tuner(trainer.model).annotators.held
    trainer.train()
    assert any(entry.get("loss_annotators", 0) > 0 for entry in trainer.state.log_history)


def test_without_validation_both_count_half(tmp_path: Path) -> None:
    adapter = trained(tmp_path, validates=False)
    assert dcpc_tuner(adapter.model).readout.shares.tolist() == pytest.approx([0.5, 0.5])


def test_the_weights_are_those_to_be_expected_given_held_out_judgements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    weigh = FrozenReadout.weigh

    def spied(self: FrozenReadout, model: Any, held_out: Any) -> Any:
        batches = list(held_out)

        def validation_loss() -> float:
            return sum(float(rule.validation_loss(model, batch)) * len(batch["items"]) for batch in batches)

        seen["chosen"] = weigh(self, model, batches)
        rule, shares = LearningRule(), self.readout.shares
        chosen = shares.tolist()
        for point in product(SHARES, SHARES):
            shares.copy_(torch.tensor(point))
            prior = ((point[0] - 0.5) ** 2 + (point[1] - 0.5) ** 2) / (2 * PRIOR_STD**2)
            seen[point] = math.exp(-validation_loss() - prior)
        shares.copy_(torch.tensor(chosen))
        return seen["chosen"]

    monkeypatch.setattr(FrozenReadout, "weigh", spied)
    trained(tmp_path, validates=True, epochs=3)
    chosen = seen.pop("chosen")
    total = sum(seen.values())
    expected = [sum(p * pair[side] for pair, p in seen.items()) / total for side in (0, 1)]
    assert chosen == pytest.approx(expected, rel=1e-3)
    assert chosen != pytest.approx((0.5, 0.5), abs=1e-3)


def test_a_checkpoint_predicts_what_was_validated(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path, save_strategy="epoch")
    trainer.train()
    validated = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    for step, expected in zip((2, 4), validated, strict=True):
        base, _ = load_base_model(str(tmp_path / "base"), sentiment_judgements(24).labels)
        checkpoint = tmp_path / "runs" / f"checkpoint-{step}"
        trainer.model = PeftModel.from_pretrained(base, str(checkpoint)).eval()
        assert trainer.evaluate()["eval_loss"] == pytest.approx(expected, rel=1e-5)


def test_a_training_resumed_at_its_end_predicts_as_it_did(tmp_path: Path) -> None:
    first = tiny_trainer(tmp_path, save_strategy="epoch")
    first.train()
    resumed = tiny_trainer(tmp_path, save_strategy="epoch")
    resumed.train(resume_from_checkpoint=True)
    assert dcpc_tuner(resumed.model).readout.enabled
    assert resumed.evaluate()["eval_loss"] == pytest.approx(first.evaluate()["eval_loss"], rel=1e-5)


def test_training_twice_goes_on_and_weighs_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = []
    monkeypatch.setattr(dcpc_rule, "start_annotators", lambda *args: starts.append(args))
    trainer = tiny_trainer(tmp_path, validates=False)
    for _ in range(2):
        trainer.train()
        readout = dcpc_tuner(trainer.model).readout
        assert readout.enabled
        assert readout.shares.tolist() == [0.5, 0.5]
        assert trainer.rule.data is None  # predictions do not hold the training items
    assert len(starts) == 1


def test_the_head_is_left_as_it_was_trained_or_found(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path, task_type=None)  # the head is neither trained nor saved
    head = trainer.model.base_model.model.classifier.weight
    before = head.detach().clone()
    trainer.train()
    assert torch.equal(head, before)


def test_every_item_is_read_once_longest_first_however_batches_are_sampled(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path, train_sampling_strategy="group_by_length")
    read = [item for batch in trainer.training_items() for item in batch["items"].tolist()]
    lengths = trainer.train_dataset.lengths
    assert read == sorted(range(16), key=lambda item: -lengths[item])


def test_states_and_judgements_stay_together_in_whatever_order_items_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(
        frozen_readout, "fit_readout", lambda judged: seen.append(judged) or fit_readout(judged)
    )
    trainer = tiny_trainer(tmp_path)
    trainer.train()
    annotations, tuner = trainer.train_dataset.annotations, dcpc_tuner(trainer.model)
    judged = seen[0]
    np.testing.assert_array_equal(judged.labels, annotations.label_codes)
    np.testing.assert_array_equal(judged.items, annotations.item_codes)
    names = annotations.annotators[annotations.annotator_codes].tolist()
    np.testing.assert_array_equal(judged.annotators, tuner.annotator_index(names).numpy())
    one = trainer.data_collator([trainer.train_dataset[3]])
    states = tuner.frozen_states(**tokens_of(one)).numpy()
    np.testing.assert_allclose(judged.features[3:4], states, atol=1e-5)


def test_judgements_without_ids_leave_annotators_at_their_start(tmp_path: Path) -> None:
    base, tokenizer = load_base_model(save_tiny_bert(tmp_path / "base"), ["no", "yes"])
    config = with_module(task_type="SEQ_CLS", annotators=["ann", "bob"], readout=True)
    model = get_peft_model(base, config)
    unnamed = judgements([(f"item {i}", "the film", None, ("no", "yes")[i % 2]) for i in range(8)])
    data = ItemDataset(unnamed, tokenizer)
    rule = DCPCRule(ObjectiveConfig())
    rule.prepare(model, data)
    batch = ItemCollator(tokenizer)([data[i] for i in range(8)])
    rule.start_epoch(model, lambda: [batch], 0.0)
    assert rule.readout.fitted
    assert rule.readout.effects is None
    assert not dcpc_tuner(model).annotators.mean.any()


def test_large_states_are_read_of_a_part_of_the_items(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    fit = frozen_readout.fit_readout
    monkeypatch.setattr(frozen_readout, "MOST_NUMBERS", 8 * 48)  # eight items of three states of width 16
    monkeypatch.setattr(frozen_readout, "fit_readout", lambda *args: seen.append(args) or fit(*args))
    tiny_trainer(tmp_path, per_device_eval_batch_size=4).train()
    assert seen[0][0].features.shape == (8, 48)
    assert set(seen[0][0].items) == set(range(8))


def test_states_that_are_no_numbers_stop_the_training(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path)
    with torch.no_grad():
        trainer.model.get_base_model().get_input_embeddings().weight[5:].fill_(float("inf"))
    with pytest.raises(TrainingError, match="states of some training items are not finite"):
        trainer.train()


@pytest.mark.parametrize("mode", ["prefix", "none"])
def test_other_annotator_modes_and_accumulated_gradients(tmp_path: Path, mode: str) -> None:
    trainer = tiny_trainer(tmp_path, annotator_mode=mode, gradient_accumulation_steps=2)
    trainer.train()
    assert dcpc_tuner(trainer.model).readout.enabled
    assert np.isfinite(trainer.evaluate()["eval_loss"])


@pytest.mark.parametrize("mode", ["output", "prefix"])
def test_what_is_validated_is_what_is_saved(tmp_path: Path, mode: str) -> None:
    """In training the readout is off and added by hand; for annotators inside the model too."""
    trainer = tiny_trainer(tmp_path, annotator_mode=mode)
    rule, model, seen = trainer.rule, trainer.model, []
    finish = rule.finish

    def kept(*args: Any) -> None:
        model.eval()
        batch = trainer.data_collator([trainer.eval_dataset[i] for i in range(len(trainer.eval_dataset))])
        seen.append(
            (batch, rule.predict(model, tokens_of(batch), batch["annotator_ids"], batch["item_index"]))
        )
        finish(*args)
        dcpc_tuner(model).readout.shares.fill_(0.5)  # as in a checkpoint

    rule.finish = kept
    trainer.train()
    (batch, validated), *_ = seen
    model.eval()
    with torch.no_grad():
        saved = rule.predict(model, tokens_of(batch), batch["annotator_ids"], batch["item_index"])
    torch.testing.assert_close(saved.items, validated.items)
    torch.testing.assert_close(saved.judgements, validated.judgements)


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


def test_the_frozen_model_reads_a_held_out_batch_once(tmp_path: Path, monkeypatch: Any) -> None:
    trainer, reads = tiny_trainer(tmp_path), []
    frozen_states = DCPCModel.frozen_states

    def counted(self: DCPCModel, *args: Any, **kwargs: Any) -> Any:
        reads.append(kwargs["input_ids"].shape[0])
        return frozen_states(self, *args, **kwargs)

    monkeypatch.setattr(DCPCModel, "frozen_states", counted)
    trainer.train()
    # Two training batches to fit; one of the held-out items, for two epochs and the weights of the two sides.
    assert sorted(reads) == [8, 8, 8]
    assert len([entry for entry in trainer.state.log_history if "eval_loss" in entry]) == 2
