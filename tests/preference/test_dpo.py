"""DPO with raters: TRL's loss where raters have no effects, any carrier, and votes of raters who differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from peft import LoraConfig, PeftConfig
from transformers import AutoModelForCausalLM

from dcpc.data import Annotations
from dcpc.errors import DCPCError, UsageError
from dcpc.preference import RaterConfig, RaterModel
from dcpc.preference.policy import train_policy
from dcpc.preference.policy_data import chosen_dataset, vote_dataset
from dcpc.tuner import DCPCConfig
from preference.tiny_policy import simulated_votes, tiny_llama, tiny_tokenizer

trl = pytest.importorskip("trl")

from dcpc.preference.dpo import RaterDPOTrainer  # noqa: E402

LORA = {"r": 4, "target_modules": ["q_proj", "v_proj", "down_proj"], "task_type": "CAUSAL_LM"}
QUICK = {
    "max_steps": 2,
    "report_to": [],
    "use_cpu": True,
    "bf16": False,
    "gradient_checkpointing": False,
    "save_strategy": "no",
    "disable_tqdm": True,
    "logging_steps": 1,
}
FAIR = {"r": 1.0, "s": 1.0, "t": 1.0}
SURE = dict.fromkeys(FAIR, 0.0)


def arguments(folder: Path, **changes: Any) -> trl.DPOConfig:
    settings = {
        **QUICK,
        "output_dir": str(folder),
        "per_device_train_batch_size": 8,
        "per_device_eval_batch_size": 8,
        "learning_rate": 1e-2,
        "beta": 0.5,
    }
    return trl.DPOConfig(**{**settings, **changes})


def trainer_of(
    annotations: Annotations,
    folder: Path,
    raters: RaterConfig,
    adapter: PeftConfig | None = None,
    *,
    chat: bool = False,
    **changes: Any,
) -> RaterDPOTrainer:
    tokenizer = tiny_tokenizer(chat=chat)
    model = tiny_llama(tokenizer)
    data = vote_dataset(annotations, tokenizer)
    who = RaterModel(list(annotations.annotators), annotations.labels, None, raters, model.config.hidden_size)
    return RaterDPOTrainer(
        model, who, arguments(folder, **changes), data, data, tokenizer, adapter or LoraConfig(**LORA)
    )


def shaken(model: torch.nn.Module) -> None:
    """An adapter that does something, the same in every model."""
    generator = torch.Generator().manual_seed(1)
    for name, parameter in sorted(model.named_parameters()):
        if parameter.requires_grad and "raters" not in name:
            parameter.data.normal_(std=0.2, generator=generator)


@pytest.mark.parametrize("chat", [False, True])
def test_one_vote_per_pair_and_no_effects_is_trls_loss(tmp_path: Path, chat: bool) -> None:
    votes, _ = simulated_votes(FAIR, dict.fromkeys(FAIR, 0.3), n_pairs=8, votes_per_pair=1)
    assert set(votes.table["label"]) == {"a", "b"}
    ours = trainer_of(votes, tmp_path / "ours", RaterConfig.none(), chat=chat)
    tokenizer = tiny_tokenizer(chat=chat)
    theirs = trl.DPOTrainer(
        tiny_llama(tokenizer),
        args=arguments(tmp_path / "theirs"),
        train_dataset=chosen_dataset(votes, tokenizer),
        processing_class=tokenizer,
        peft_config=LoraConfig(**LORA),
    )
    losses = []
    for trainer in (ours, theirs):
        shaken(trainer.model)
        trainer.model.eval()
        examples = [trainer.train_dataset[i] for i in range(8)]
        loss = trainer.compute_loss(trainer.model, trainer.data_collator(examples))
        loss.backward()
        gradients = [p.grad for n, p in sorted(trainer.model.named_parameters()) if p.requires_grad]
        losses.append((loss.item(), torch.cat([gradient.flatten() for gradient in gradients])))
    assert losses[0][0] == pytest.approx(losses[1][0], abs=1e-6)
    assert abs(losses[0][0] - 0.6931) > 1e-2  # the adapter acts
    torch.testing.assert_close(losses[0][1], losses[1][1], atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "adapter",
    [
        LoraConfig(**LORA),
        DCPCConfig(task_type="CAUSAL_LM", num_virtual_tokens=4, correction=True),
        DCPCConfig(task_type="CAUSAL_LM", num_virtual_tokens=0, rank=4, correction=False),
        DCPCConfig(task_type="CAUSAL_LM", num_virtual_tokens=0, bottleneck=4, correction=False),
        DCPCConfig(
            task_type="CAUSAL_LM",
            num_virtual_tokens=4,
            annotators=["r", "s", "t"],
            annotator_mode="prefix",
            correction=True,
        ),
    ],
    ids=["lora", "prefix", "low-rank", "bottleneck", "raters-in-prefix"],
)
def test_every_carrier_learns_from_votes_with_ties(tmp_path: Path, adapter: PeftConfig) -> None:
    votes, _ = simulated_votes(FAIR, SURE, n_pairs=16, ties=0.2)
    raters = RaterConfig(errors=1.0, tastes=0.5)
    trainer = trainer_of(votes, tmp_path, raters, adapter, max_steps=12)
    before = trainer.evaluate()
    start = {name: value.clone() for name, value in trainer.raters.named_parameters()}
    trainer.train()
    after = trainer.evaluate()
    assert before["eval_kl"] == pytest.approx(0.0, abs=1e-5)
    assert after["eval_kl"] > 1e-4
    assert after["eval_votes/log_loss"] < before["eval_votes/log_loss"]
    assert after["eval_rewards/accuracies"] > 0.8
    moved = {name for name, value in trainer.raters.named_parameters() if not torch.equal(value, start[name])}
    assert {"thresholds", "error_log_odds", "styles", "effects.mean"} <= moved


def test_swapping_the_sides_of_all_pairs_changes_nothing(tmp_path: Path) -> None:
    votes, _ = simulated_votes(FAIR, SURE, n_pairs=8, ties=0.3)
    table = votes.table
    swapped = table.assign(
        response_a=table["response_b"],
        response_b=table["response_a"],
        label=table["label"].map({"a": "b", "b": "a", "tie": "tie"}),
    )
    losses = []
    for given in (votes, Annotations(swapped, votes.labels, "preference")):
        trainer = trainer_of(given, tmp_path, RaterConfig.none(ties=1.0, errors=1.0))
        shaken(trainer.model)
        trainer.model.eval()
        batch = trainer.data_collator([trainer.train_dataset[i] for i in range(8)])
        losses.append(trainer.compute_loss(trainer.model, batch).item())
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_a_resumed_training_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    votes, _ = simulated_votes(FAIR, SURE, n_pairs=16, ties=0.2)
    whole = trainer_of(votes, tmp_path / "whole", RaterConfig(), max_steps=6)
    whole.train()
    saving = {"save_strategy": "steps", "save_steps": 3, "max_steps": 6}
    cut = trainer_of(votes, tmp_path / "cut", RaterConfig(), **saving)
    cut.train()
    again = trainer_of(votes, tmp_path / "cut", RaterConfig(), **saving)
    again.train(resume_from_checkpoint=str(tmp_path / "cut" / "checkpoint-3"))
    for name, value in again.raters.state_dict().items():
        torch.testing.assert_close(value, cut.raters.state_dict()[name], msg=name)
    torch.testing.assert_close(whole.raters.state_dict()["thresholds"], cut.raters.state_dict()["thresholds"])


def test_of_two_tastes_with_flipped_votes_the_common_one_is_learned_better_than_by_robust_dpo(
    tmp_path: Path,
) -> None:
    """Eight raters like polite replies, four dislike them, three votes of ten are flipped; equal passes."""
    taste = {f"r{i}": 1.0 if i < 8 else -1.0 for i in range(12)}
    votes, _ = simulated_votes(taste, dict.fromkeys(taste, 0.3), n_pairs=600, seed=1)
    held, _ = simulated_votes({"judge": 1.0}, {"judge": 0.0}, n_pairs=200, votes_per_pair=1, seed=101)
    settings = {"max_steps": 60, "learning_rate": 3e-3, "per_device_train_batch_size": 32, "beta": 1.0}
    ours = trainer_of(votes, tmp_path / "ours", RaterConfig.none(errors=1.5, dropout=0.0), **settings)
    tokenizer = tiny_tokenizer()
    plain = {**settings, "max_steps": 180, "loss_type": ["robust"], "label_smoothing": 0.3}
    robust = trl.DPOTrainer(
        tiny_llama(tokenizer),
        args=arguments(tmp_path / "robust", **plain),
        train_dataset=chosen_dataset(votes, tokenizer),  # a row per vote: three times as many
        eval_dataset=chosen_dataset(held, tokenizer),
        processing_class=tokenizer,
        peft_config=LoraConfig(**LORA),
    )
    ours.train()
    robust.train()
    found = ours.evaluate(vote_dataset(held, tokenizer))["eval_rewards/accuracies"]
    assert found >= robust.evaluate()["eval_rewards/accuracies"] + 0.02


def test_settings_of_trl_without_effect_are_refused(tmp_path: Path) -> None:
    votes, _ = simulated_votes(FAIR, SURE, n_pairs=4)
    for changes in ({"label_smoothing": 0.1}, {"loss_type": ["ipo"]}, {"loss_type": ["robust"]}):
        with pytest.raises(UsageError, match=r"no effect|another one"):
            trainer_of(votes, tmp_path, RaterConfig(), **changes)


def test_ties_alone_leave_nothing_for_trls_losses() -> None:
    votes, _ = simulated_votes(FAIR, SURE, n_pairs=4, ties=1.0)
    with pytest.raises(UsageError, match="ties"):
        chosen_dataset(votes, tiny_tokenizer())


def test_shares_of_votes_have_the_loss_of_the_votes_that_they_are_of(tmp_path: Path) -> None:
    pairs, _ = simulated_votes(FAIR, SURE, n_pairs=8, votes_per_pair=1)
    table = pairs.table.drop(columns=["annotator_id", "label"])
    both = pd.concat(
        [table.assign(label=label, label_share=share) for label, share in (("a", 0.75), ("b", 0.25))]
    )
    shares = Annotations(both.reset_index(drop=True), ("a", "b"), "preference")
    four = pd.concat([table.assign(label=label) for label in "aaab"]).reset_index(drop=True)
    losses = []
    for votes in (shares, Annotations(four, ("a", "b"), "preference")):
        trainer = trainer_of(votes, tmp_path, RaterConfig.none())
        shaken(trainer.model)
        trainer.model.eval()
        batch = trainer.data_collator([trainer.train_dataset[i] for i in range(8)])
        losses.append(trainer.compute_loss(trainer.model, batch).item())
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    with pytest.raises(UsageError, match="shares"):
        chosen_dataset(shares, tiny_tokenizer())
    assert len(chosen_dataset(shares, tiny_tokenizer(), majority=True)) == 8


def test_figures_of_an_evaluation_are_means_over_votes_whatever_the_batches(tmp_path: Path) -> None:
    votes, _ = simulated_votes(FAIR, SURE, n_pairs=7, ties=0.3)
    table = votes.table
    few = table[
        (table["item_id"] != "pair 0") | ~table.duplicated("item_id")
    ]  # one vote there, three elsewhere
    found = []
    for size in (1, 3, 7):
        trainer = trainer_of(
            Annotations(few, votes.labels, "preference"),
            tmp_path,
            RaterConfig(ties=1.0, errors=1.0),
            per_device_eval_batch_size=size,
        )
        shaken(trainer.model)
        found.append(trainer.evaluate())
    names = {name for name in found[0] if "votes/" in name or "rewards/" in name or name == "eval_kl"}
    assert len(names) == 5
    for name in names | {"eval_loss"}:
        assert found[1][name] == pytest.approx(found[0][name], abs=1e-5), name
        assert found[2][name] == pytest.approx(found[0][name], abs=1e-5), name
    assert found[0]["eval_loss"] == found[0]["eval_votes/log_loss"]


def test_majority_and_single_votes_make_chosen_and_rejected() -> None:
    votes, politer = simulated_votes(FAIR, {"r": 0.0, "s": 0.0, "t": 1.0}, n_pairs=10)
    single = chosen_dataset(votes, tiny_tokenizer())
    majority = chosen_dataset(votes, tiny_tokenizer(), majority=True)
    assert len(single) == 30
    assert len(majority) == 10
    polite = [row["chosen"].count("please") > row["rejected"].count("please") for row in majority]
    assert all(polite)
    assert len(politer) == 10


def test_the_log_has_accuracy_margin_kl_and_samples_of_the_policy_beside_the_reference(
    tmp_path: Path,
) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    votes, _ = simulated_votes(FAIR, SURE, n_pairs=24)
    held, _ = simulated_votes(FAIR, SURE, n_pairs=8, seed=3)
    tokenizer = tiny_tokenizer()
    settings = {
        "report_to": ["tensorboard"],
        "eval_strategy": "steps",
        "eval_steps": 15,
        "max_steps": 30,
        "learning_rate": 3e-2,
    }
    policy = train_policy(
        votes,
        held,
        model=tiny_llama(tokenizer),
        tokenizer=tokenizer,
        adapter=LoraConfig(**LORA),
        training={**QUICK, "output_dir": str(tmp_path / "run"), **settings, "samples": 2, "sample_tokens": 6},
    )
    evaluated = [entry for entry in policy.history if "eval_rewards/margins" in entry]
    assert len(evaluated) == 2
    assert evaluated[-1]["eval_kl"] > evaluated[0]["eval_kl"] > 0
    shown = [entry["eval_samples"] for entry in policy.history if "eval_samples" in entry]
    assert len(shown) == 2
    assert shown[-1].count("**Prompt**") == 2
    before, after = (
        [line for line in shown[-1].splitlines() if line.startswith(f"**{name}**")]
        for name in ("Before", "After")
    )
    assert before != [line.replace("After", "Before") for line in after], "the policy writes something else"
    first = [line for line in shown[0].splitlines() if line.startswith("**Before**")]
    assert first == before, "the reference stays as it is"
    (file,) = (tmp_path / "run").rglob("events.out.tfevents.*")
    events = EventAccumulator(str(file))
    events.Reload()
    assert {"eval/kl", "eval/rewards/accuracies", "train/rewards/margins"} <= set(events.Tags()["scalars"])
    assert "eval/samples/text_summary" in events.Tags()["tensors"]
    policy.save(tmp_path / "policy")
    card = (tmp_path / "policy" / "README.md").read_text(encoding="utf-8")
    assert (
        f"KL to the reference per token of the held-out responses, in nats: {evaluated[-1]['eval_kl']:.3f}"
        in card
    )
    assert shown[-1] in card
    with pytest.raises(UsageError, match="policy"):
        policy.save(tmp_path / "policy")


# Bad input


def try_policy(votes: Annotations, folder: Path, **options: Any) -> Any:
    tokenizer = options.pop("tokenizer", None) or tiny_tokenizer(chat=True)
    model, settings = tiny_llama(tiny_tokenizer()), {**QUICK, "output_dir": str(folder)}
    settings |= options.pop("training", {})
    lora = LoraConfig(**LORA)
    return train_policy(votes, model=model, tokenizer=tokenizer, adapter=lora, training=settings, **options)


def with_table(votes: Annotations, **columns: Any) -> Annotations:
    return Annotations(votes.table.assign(**columns), votes.labels, votes.scale)


def test_votes_that_no_policy_can_learn_from_are_refused(tmp_path: Path) -> None:
    votes, _ = simulated_votes(FAIR, SURE, n_pairs=4, ties=0.3)
    table = votes.table
    cases = [
        ("two equal responses", with_table(votes, response_b=table["response_a"])),
        ("response is empty", with_table(votes, response_b=" ")),
        ("all votes are ties", with_table(votes, label="tie")),
        ("prompt fills the 16 tokens", with_table(votes, text="ask1 " * 20)),
        ("nominal, not votes", Annotations(table, votes.labels, "nominal")),
    ]
    for message, bad in cases:
        with pytest.raises(DCPCError, match=message):
            try_policy(bad, tmp_path, training={"max_length": 16})


def test_what_is_left_out_and_cut_of_a_policys_pairs_is_counted(tmp_path: Path) -> None:
    votes, _ = simulated_votes(FAIR, SURE, n_pairs=6)
    table, long = votes.table, "nope1 " * 60
    pair = table["item_id"]
    table = table.assign(
        text=table["text"].mask(pair == "pair 0", "ask1 " * 70),
        response_a=table["response_a"].mask(pair == "pair 1", long + "please1"),
        response_b=table["response_b"].mask(pair == "pair 1", long + "please2"),
    )
    found = try_policy(Annotations(table, votes.labels, "preference"), tmp_path, training={"max_length": 48})
    notes = " ".join(found.notes)
    assert "Left out: 1 pair whose prompt fills the tokens (max_length=48)" in notes
    assert "2 of 10 responses were too long" in notes
    assert "1 pair with responses that differ, but not in the tokens" in notes


def test_a_smaller_tokenizer_of_another_model_is_refused_and_an_extended_one_is_not(tmp_path: Path) -> None:
    votes, _ = simulated_votes(FAIR, SURE, n_pairs=4)
    own = tiny_tokenizer(chat=True)
    tiny_llama(own).save_pretrained(tmp_path / "base")
    own.save_pretrained(tmp_path / "base")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    foreign = tiny_tokenizer(chat=True, words=["filler", "nope0", "please1", "ask2"])
    training = {**QUICK, "output_dir": str(tmp_path / "runs"), "max_steps": 1}
    with pytest.raises(
        UsageError, match="not the base model's: 4 of 10 tokens have another number"
    ) as caught:
        train_policy(votes, model=model, tokenizer=foreign, training=training)
    assert f"AutoTokenizer.from_pretrained('{tmp_path / 'base'}')" in str(caught.value)
    model.resize_token_embeddings(len(own) + 1)
    own.add_tokens(["more"])
    lora = LoraConfig(**LORA)
    assert train_policy(votes, model=model, tokenizer=own, adapter=lora, training=training).history


def test_settings_and_tokenizers_that_do_not_fit_a_policy_are_refused(tmp_path: Path) -> None:
    votes, _ = simulated_votes(FAIR, SURE, n_pairs=4)
    other = tiny_tokenizer(chat=True)
    other.add_tokens([f"more{i}" for i in range(40)])
    with_ties = Annotations(votes.table, ("a", "b", "tie"), "preference")
    for message, options in (
        ("no field `lerning_rate`", {"training": {"lerning_rate": 1e-3}}),
        ("learning_rate", {"training": {"learning_rate": "fast"}}),
        (
            "do not fit",
            {"training": {"eval_strategy": "steps", "load_best_model_at_end": True, "eval_steps": 3}},
        ),
        ("belongs to another model", {"tokenizer": other}),
        ("held-out votes are a, b, tie", {"validation": with_ties}),
    ):
        with pytest.raises(UsageError, match=message):
            try_policy(votes, tmp_path, **options)
    with pytest.raises(UsageError, match="`ref_model` has no place"):
        RaterDPOTrainer(
            tiny_llama(tiny_tokenizer()), RaterModel([], votes.labels), arguments(tmp_path),
            vote_dataset(votes, tiny_tokenizer()), None, tiny_tokenizer(), LoraConfig(**LORA),
            ref_model=tiny_llama(tiny_tokenizer()),
        )  # fmt: skip


def test_a_policy_learns_from_graded_votes(tmp_path: Path) -> None:
    votes, _ = simulated_votes(FAIR, SURE, n_pairs=16, ties=0.2)
    grades = votes.table["label"].map({"a": "-1", "tie": "0", "b": "1"})
    graded = Annotations(votes.table.assign(label=grades), ("-1", "0", "1"), "ordinal")
    found = try_policy(graded, tmp_path, training={"max_steps": 12, "learning_rate": 1e-2})
    steps = [entry["rewards/accuracies"] for entry in found.history if "rewards/accuracies" in entry]
    assert steps[-1] > 0.8
    assert len(chosen_dataset(graded, tiny_tokenizer())) == (grades != "0").sum()
