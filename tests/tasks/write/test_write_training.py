"""Losses and training of written replies."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from datasets import Dataset
from peft import PeftModel, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from dcpc.cli.write import taken_apart
from dcpc.recipe import check_recipe, read_recipe
from dcpc.tasks.write import (
    Generation,
    Replies,
    evaluate_writing,
    load_writing_adapter,
    train_writers,
    write_replies,
)
from dcpc.tasks.write.batches import PackingCollator, ReplyCollator, ReplyDataset
from dcpc.tasks.write.loss import reply_log_likelihoods, reply_loss
from dcpc.tasks.write.packing import why_not_packed
from dcpc.tasks.write.prompts import PromptFormat
from dcpc.tasks.write.start import block_gates, nearest_styles, start_styles
from dcpc.training.step import dcpc_tuner
from dcpc.tuner import DCPCConfig
from tiny_writers import save_tiny_llama, two_styles

WRITERS = ["loud", "soft"]
CARRIERS: dict[str, dict[str, Any]] = {
    "low-rank": {"num_virtual_tokens": 0, "rank": 4, "correction": True},
    "bottleneck": {"num_virtual_tokens": 0, "bottleneck": 4, "correction": True},
    "prefix": {"num_virtual_tokens": 4, "num_corrected_tokens": 2, "correction": True},
}
carriers = pytest.mark.parametrize("carrier", CARRIERS)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def data(llama: str) -> ReplyDataset:
    format = PromptFormat(AutoTokenizer.from_pretrained(llama), 64)
    return ReplyDataset(two_styles(), format, {name: number for number, name in enumerate(WRITERS)})


def adapted(llama: str, carrier: str = "low-rank", *, acting: bool = True, **changes: Any) -> PeftModel:
    """A DCPC adapter of which every tensor has a value, in evaluation mode."""
    base = AutoModelForCausalLM.from_pretrained(llama)
    fields = {"annotators": WRITERS, "annotator_mode": "prefix", "readout": False, **CARRIERS[carrier]}
    model = get_peft_model(base, DCPCConfig(task_type="CAUSAL_LM", **{**fields, **changes}))
    if acting:
        for tensor in (tensor for tensor in model.parameters() if tensor.requires_grad):
            tensor.data.normal_(std=0.3)
    return model.eval()


def test_loss_is_that_of_the_base_model_with_ignored_labels(llama: str, data: ReplyDataset) -> None:
    model = AutoModelForCausalLM.from_pretrained(llama).eval()
    batch = ReplyCollator(0, "right")([data[number] for number in range(5)])
    plain = model(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=batch["labels"]
    ).loss
    for side in ("right", "left"):
        batch = ReplyCollator(0, side)([data[number] for number in range(5)])
        torch.testing.assert_close(reply_loss(model, batch), plain, atol=1e-6, rtol=0)


def test_only_replies_and_their_ends_are_learned(llama: str, data: ReplyDataset) -> None:
    tokenizer = AutoTokenizer.from_pretrained(llama)
    assert tokenizer.pad_token_id == tokenizer.convert_tokens_to_ids("<|end|>")
    batch = ReplyCollator(tokenizer.pad_token_id)([data[0], data[1]])
    learned = [row[row != -100].tolist() for row in batch["labels"]]
    assert [tokenizer.decode(row) for row in learned] == ["0!!<|end|>", "well, 0, dear<|end|>"]


@carriers
def test_padding_changes_nothing(llama: str, data: ReplyDataset, carrier: str) -> None:
    model = adapted(llama, carrier)
    each = [reply_log_likelihoods(model, ReplyCollator(7)([data[number]])) for number in range(4)]
    for side in ("left", "right"):
        found, tokens = reply_log_likelihoods(model, ReplyCollator(7, side)([data[n] for n in range(4)]))
        torch.testing.assert_close(found, torch.cat([one for one, _ in each]), atol=1e-4, rtol=1e-4)
        assert tokens.tolist() == [len(data[number]["reply"]) for number in range(4)]


def test_padding_changes_nothing_with_learned_positions(data: ReplyDataset) -> None:
    config = GPT2Config(
        vocab_size=300, n_embd=16, n_layer=2, n_head=2, n_positions=128, initializer_range=0.5
    )
    model = GPT2LMHeadModel(config).eval()
    examples = [data[number] for number in range(4)]
    right, _ = reply_log_likelihoods(model, ReplyCollator(0, "right")(examples))
    left, _ = reply_log_likelihoods(model, ReplyCollator(0, "left")(examples))
    torch.testing.assert_close(left, right, atol=1e-4, rtol=1e-4)
    assert why_not_packed(model) is None
    packed = reply_loss(model, PackingCollator(0)(examples))
    torch.testing.assert_close(packed, reply_loss(model, ReplyCollator(0)(examples)), atol=1e-5, rtol=1e-5)


def test_likelihoods_are_sums_over_the_reply(llama: str, data: ReplyDataset) -> None:
    model, example = AutoModelForCausalLM.from_pretrained(llama).eval(), data[3]
    ids = torch.tensor([example["prompt"] + example["reply"]])
    start = len(example["prompt"])
    wanted = -cross_entropy(model(ids).logits[0, start - 1 : -1], ids[0, start:], reduction="sum")
    found, _ = reply_log_likelihoods(model, ReplyCollator(0)([example]))
    torch.testing.assert_close(found[0], wanted, atol=1e-4, rtol=1e-5)


@carriers
def test_writers_act_and_are_learned(llama: str, data: ReplyDataset, carrier: str) -> None:
    model = adapted(llama, carrier, annotator_dropout=0.0)
    batch = ReplyCollator(0)([data[number] for number in range(4)])
    swapped = {**batch, "annotator_ids": 1 - batch["annotator_ids"]}
    own, _ = reply_log_likelihoods(model, batch)
    other, _ = reply_log_likelihoods(model, swapped)
    nobody, _ = reply_log_likelihoods(model, batch, as_writers=False)
    assert (own - other).abs().min() > 1e-3
    assert (own - nobody).abs().min() > 1e-3
    reply_loss(model, batch).backward()
    tuner = dcpc_tuner(model)
    gradient = tuner.dcpc_annotators["default"].mean.grad
    assert (gradient.abs().sum(dim=1) > 0).all()


def test_packed_replies_have_the_loss_of_padded_ones(llama: str, data: ReplyDataset) -> None:
    model = adapted(llama, correction=False, annotators=None, annotator_mode="none")
    assert why_not_packed(model) is None
    examples = [data[number] for number in range(6)]
    packed = PackingCollator(0)(examples)
    assert len(packed["input_ids"]) == 2  # one row for each writer
    padded = reply_loss(model, ReplyCollator(0)(examples))
    torch.testing.assert_close(reply_loss(model, packed), padded, atol=1e-5, rtol=1e-5)


def test_packing_is_refused_where_the_module_would_mix_prompts(llama: str) -> None:
    assert "pools over a row" in why_not_packed(adapted(llama))


def test_packing_is_refused_where_attention_mixes(llama: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = AutoModelForCausalLM.from_pretrained(llama).eval()
    assert why_not_packed(model) is None
    monkeypatch.setattr("transformers.masking_utils.find_packed_sequence_indices", lambda position_ids: None)
    assert "lets a reply see" in why_not_packed(model)


def test_the_start_sets_writers_apart_and_leaves_the_dominant_style_alone(llama: str) -> None:
    model = adapted(llama, acting=False)
    tuner = dcpc_tuner(model)
    start_styles(tuner, two_styles())
    mixtures = tuner.dcpc_annotators["default"].mean.softmax(dim=1)
    assert mixtures.argmax(dim=1).tolist() == [0, 1]
    gates = [value for name, value in model.named_parameters() if ".dcpc_meta." in name]
    assert gates
    for gate in gates:
        torch.testing.assert_close(gate.mean(dim=0), torch.zeros(gate.shape[1]))
        assert (mixtures @ gate).diff(dim=0).abs().max() > 0.5


def test_writers_who_write_alike_start_at_one_style(llama: str) -> None:
    alike = two_styles(8).table
    twins = alike.assign(annotator_id=[f"{name} twin" for name in alike["annotator_id"]])
    replies = Replies(pd.concat([alike, twins], ignore_index=True))
    styles = nearest_styles(replies, list(replies.writers), n_styles=2)
    assert styles[0] == styles[1] != styles[2] == styles[3]  # loud, loud twin, soft, soft twin
    model = adapted(llama, acting=False, annotators=list(replies.writers), num_styles=2)
    start_styles(dcpc_tuner(model), replies)
    mean = dcpc_tuner(model).dcpc_annotators["default"].mean
    assert torch.equal(mean[0], mean[1])
    assert not torch.equal(mean[1], mean[2])


def trained(llama: str, **changes: Any) -> Any:
    settings = {"num_train_epochs": 12, "per_device_train_batch_size": 4, "learning_rate": 2e-2}
    settings |= {"report_to": "none", "use_cpu": True, **changes.pop("training", {})}
    return train_writers(
        two_styles(), base_model=llama, max_length=64, training=settings, progress=False, **changes
    )


def test_training_learns_each_writers_style(llama: str, tmp_path: Path) -> None:
    adapter = trained(llama, adapter={"rank": 8})
    before = adapter.writers
    scores = evaluate_writing(adapter, two_styles(), generation=Generation(max_new_tokens=24))
    assert before == WRITERS
    assert scores.overall.nll < scores.overall.nll_dominant - 0.05
    assert scores.overall.style_accuracy > 0.9
    adapter.save(tmp_path)
    again = load_writing_adapter(tmp_path)
    prompts = two_styles().prompts[:4]
    settings = Generation(max_new_tokens=12)
    found = write_replies(again, prompts, ["loud", "soft", None, "stranger"], settings)
    assert found == write_replies(adapter, prompts, ["loud", "soft", None, "stranger"], settings)
    assert found[0] != found[1]


def test_accumulated_batches_are_the_large_batch(llama: str) -> None:
    def weights(**training: Any) -> dict[str, torch.Tensor]:
        settings = {"max_steps": 2, "lr_scheduler_type": "constant", "optim": "sgd", "warmup_steps": 0}
        settings |= {"learning_rate": 0.5, "max_grad_norm": 0.0, **training}
        model = trained(llama, method="lora", adapter={"r": 2}, training=settings).model
        return {name: value.detach() for name, value in model.named_parameters() if value.requires_grad}

    # Replies differ in length, so that a mean over batches would not be the mean over tokens.
    large = weights(per_device_train_batch_size=6)
    small = weights(per_device_train_batch_size=2, gradient_accumulation_steps=3)
    for name, value in large.items():
        torch.testing.assert_close(small[name], value, atol=1e-5, rtol=1e-5)


def test_batches_of_prompts_generate_as_single_ones(llama: str) -> None:
    adapter = trained(llama, training={"num_train_epochs": 3})
    prompts = [[{"role": "user", "content": text}] for text in ("a", "say 3", "what would you say to that?")]
    settings = Generation(max_new_tokens=10)
    writers = ["loud", None, "soft"]
    together = write_replies(adapter, prompts, writers, settings, batch_size=3)
    assert together == write_replies(adapter, prompts, writers, settings, batch_size=1)


def test_drawn_replies_follow_the_seed(llama: str) -> None:
    adapter = trained(llama, training={"num_train_epochs": 1})
    prompts = two_styles().prompts[:3]

    def draw(seed: int) -> list[str]:
        return write_replies(adapter, prompts, None, Generation(max_new_tokens=8, temperature=1.0, seed=seed))

    assert draw(1) == draw(1) != draw(2)


def test_trls_trainer_takes_our_batches(llama: str, data: ReplyDataset, tmp_path: Path) -> None:
    trl = pytest.importorskip("trl")
    model = adapted(llama, acting=False)
    effects = dcpc_tuner(model).dcpc_annotators["default"].mean
    effects.data.normal_()
    before = effects.detach().clone()
    settings = trl.SFTConfig(
        output_dir=str(tmp_path),
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        max_steps=2,
        learning_rate=1e-2,
        report_to="none",
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
    )
    trainer = trl.SFTTrainer(
        model,
        settings,
        train_dataset=Dataset.from_list([data[number] for number in range(len(data))]),
        data_collator=ReplyCollator(0),
        processing_class=AutoTokenizer.from_pretrained(llama),
    )
    trainer.train()
    assert ((effects - before).abs() > 1e-4).all()


def test_the_recipe_is_one() -> None:
    recipe = read_recipe(Path(__file__).parents[3] / "recipes" / "write.yaml")
    recipe, writing = taken_apart(recipe, None, [])
    check_recipe(recipe)
    assert (writing["name"], writing["max_length_given"]) == ("write", True)


def test_generation_warns_of_nothing(llama: str, caplog: pytest.LogCaptureFixture) -> None:
    adapter = trained(llama, training={"num_train_epochs": 1})
    logging.getLogger("transformers").addHandler(caplog.handler)
    try:
        write_replies(adapter, two_styles().prompts[:2], ["loud", "soft"], Generation(max_new_tokens=4))
    finally:
        logging.getLogger("transformers").removeHandler(caplog.handler)
    assert not caplog.records


def test_every_style_has_dimensions_of_its_own() -> None:
    for n_styles, rank in ((3, 4), (4, 8), (2, 8)):
        gates = block_gates(n_styles, rank)
        assert (gates > 0).any(dim=1).all()
        torch.testing.assert_close(gates.sum(dim=0), torch.zeros(rank))
        assert (gates == 0).all(dim=0).any()


def test_packing_trains_the_same_or_says_why_not(llama: str) -> None:
    settings = {"max_steps": 2, "optim": "sgd", "lr_scheduler_type": "constant", "warmup_steps": 0}
    settings |= {"per_device_train_batch_size": 6, "learning_rate": 0.5, "max_grad_norm": 0.0}
    padded, packed = (
        trained(llama, method="lora", adapter={"r": 2}, training=settings, packing=packing)
        for packing in (False, True)
    )
    assert packed.notes == ()
    weights = dict(padded.model.named_parameters())
    for name, value in packed.model.named_parameters():
        torch.testing.assert_close(value, weights[name], atol=1e-5, rtol=1e-4)
    writers = trained(llama, training={"max_steps": 1}, packing=True)
    assert "padded, not packed: the correction module pools over a row" in writers.notes[0]
