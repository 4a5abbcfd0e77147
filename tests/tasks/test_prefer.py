"""Reward models from votes: symmetry, shared passes, TRL's loss, what is saved, who voted, and bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from peft import AutoPeftModelForSequenceClassification, LoraConfig, get_peft_model
from safetensors import safe_open
from transformers import AutoModelForSequenceClassification

from dcpc import TrainedAdapter, load_adapter, train_adapter
from dcpc.data import Annotations
from dcpc.errors import DataError, UsageError
from dcpc.models.layers import head_modules
from dcpc.prediction.evaluate import evaluate_adapter
from dcpc.preference.pairs import Response
from dcpc.preference.responses import ResponseTokens
from dcpc.preference.rule import PreferRule
from dcpc.tasks import Prefer, task_shape
from dcpc.tasks.prefer import HEAD_RATE
from dcpc.training.collator import ItemCollator
from dcpc.training.dataset import ItemDataset
from preference.tiny_policy import simulated_votes, tiny_llama, tiny_tokenizer
from tiny_models import save_tiny_bert

RATERS = {"r": 1.0, "s": 1.0, "t": 1.0}
SURE = dict.fromkeys(RATERS, 0.05)
EAGER = {"num_train_epochs": 8, "learning_rate": 2e-2, "per_device_train_batch_size": 16}
QUICK = {"num_train_epochs": 3, "learning_rate": 1e-2, "per_device_train_batch_size": 16}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder, tokenizer = tmp_path_factory.mktemp("base") / "llama", tiny_tokenizer(chat=True)
    tiny_llama(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def trained(
    base: str, votes: Annotations, task: dict[str, Any] | None = None, **options: Any
) -> TrainedAdapter:
    settings = {"training": QUICK, "progress": False, **options}
    return train_adapter(votes, base_model=base, task={"name": "prefer", **(task or {})}, **settings)


def some_votes(n_pairs: int = 60, ties: float = 0.2, seed: int = 0) -> Annotations:
    return simulated_votes(RATERS, SURE, n_pairs, ties=ties, seed=seed)[0]


def swapped(votes: Annotations) -> Annotations:
    table = votes.table
    turned = table.assign(
        response_a=table["response_b"],
        response_b=table["response_a"],
        label=table["label"].map({"a": "b", "b": "a", "tie": "tie"}),
    )
    return Annotations(turned, votes.labels, "preference")


@pytest.fixture(scope="module")
def adapter(llama: str) -> TrainedAdapter:
    return trained(llama, some_votes(100), {"tastes": 0.5})


# Symmetry and shared passes


def test_swapping_the_sides_negates_margins_and_mirrors_votes(adapter: TrainedAdapter) -> None:
    votes = some_votes(20, seed=3)
    rule, columns = adapter.rule, ["p_a", "p_b", "p_tie"]
    assert isinstance(rule, PreferRule)
    margins = []
    for given in (votes, swapped(votes)):
        batch = ItemCollator(adapter.tokenizer, adapter.shape)(
            [ItemDataset(given, adapter.tokenizer, shape=adapter.shape)[i] for i in range(20)]
        )
        tokens = {name: batch[name] for name in ("input_ids", "attention_mask")}
        margins.append(rule.shape.compared(adapter.model.eval(), tokens).margin)
    assert margins[0].abs().max() > 0.1
    torch.testing.assert_close(margins[0], -margins[1], atol=1e-5, rtol=0)
    one, other = (adapter.predict(v.items, as_="distribution") for v in (votes, swapped(votes)))
    np.testing.assert_allclose(one[columns], other[["p_b", "p_a", "p_tie"]], atol=1e-5)
    mirror = {"a": "b", "b": "a", "tie": "tie"}
    assert one["label"].map(mirror).tolist() == other["label"].tolist(), "decisions mirror, too"


def test_a_response_in_several_pairs_is_encoded_once_and_scored_as_if_alone(llama: str) -> None:
    model, tokenizer = Prefer().load(llama, ("a", "b"))
    shape = Prefer(chat=True, template="{text}\n{response}")
    replies = ["please0 please1 nope1", "nope0", "please2 please2"]
    pairs = [(0, 1), (1, 2), (2, 0), (0, 0)]
    items = pd.DataFrame(
        {
            "item_id": [str(i) for i in range(len(pairs))],
            "text": "ask1 ask2",
            "response_a": [replies[a] for a, _ in pairs],
            "response_b": [replies[b] for _, b in pairs],
        }
    )
    fields = shape.encode(items, tokenizer, None).fields
    rows = [{name: values[i] for name, values in fields.items()} for i in range(len(pairs))]
    seen: list[int] = []
    model.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    with torch.no_grad():
        together, _ = shape.rewards(model.eval(), shape.collate(rows, tokenizer))
        alone = torch.cat([shape.rewards(model, shape.collate([row], tokenizer))[0] for row in rows])
    assert seen[0] == len(replies)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    assert float(together[3, 0] - together[3, 1]) == 0.0


def test_each_raters_rewards_differ_by_the_margin_that_their_votes_have(adapter: TrainedAdapter) -> None:
    votes, rule = some_votes(6, seed=3), adapter.rule
    assert isinstance(rule, PreferRule)
    assert rule.raters is not None
    with torch.no_grad():  # as after a long training
        rule.raters.effects.mean.normal_(std=2, generator=torch.Generator().manual_seed(0))
    data = ItemDataset(votes, adapter.tokenizer, shape=adapter.shape)
    batch = ItemCollator(adapter.tokenizer, adapter.shape)([data[i] for i in range(6)])
    tokens = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        pairs = rule.compared(adapter.model.eval(), tokens)
        rater, pair = torch.arange(3).repeat(6), torch.arange(6).repeat_interleave(3)
        log_p = rule.raters(pairs, rater, pair, sides=False).view(6, 3, -1)
    items = votes.items
    sides = [
        adapter.reward(items["text"].tolist(), items[side].tolist(), "annotators")
        for side in ("response_a", "response_b")
    ]
    assert sides[0].shape == (6, 3)
    margins = sides[0] - sides[1]
    assert np.ptp(margins, axis=1).max() > 0.01, "tastes differ"
    a, b = (votes.labels.index(label) for label in ("a", "b"))
    np.testing.assert_allclose(margins, log_p[:, :, a] - log_p[:, :, b], atol=1e-4)
    assert adapter.annotators == rule.raters.raters


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_tokenizers_padding_side_does_not_matter(adapter: TrainedAdapter, side: str) -> None:
    prompts, responses = ["ask1", "ask1 ask2 ask3", "ask5"], ["please0", "nope1 nope2 nope1", "please1 nope1"]
    alone = [float(adapter.reward([p], [r])[0]) for p, r in zip(prompts, responses, strict=True)]
    before, adapter.tokenizer.padding_side = adapter.tokenizer.padding_side, side
    try:
        np.testing.assert_allclose(adapter.reward(prompts, responses), alone, atol=1e-5)
    finally:
        adapter.tokenizer.padding_side = before


# What a vote counts for


def counted(pairs: Annotations, numbers: list[tuple[int, int, int]]) -> Annotations:
    """Each pair with so many votes for a, b and tie, of nobody in particular."""
    rows = [
        {**item, "label": label}
        for item, given in zip(pairs.items.reset_index().to_dict("records"), numbers, strict=True)
        for label, n in zip(("a", "b", "tie"), given, strict=True)
        for _ in range(n)
    ]
    columns = ["item_id", "text", "response_a", "response_b", "label"]
    return Annotations(pd.DataFrame(rows)[columns], ("a", "b", "tie"), "preference")


def loss_and_slope(llama: str, votes: Annotations, batches: list[list[int]]) -> tuple[float, torch.Tensor]:
    """Mean loss of batches of pairs, with its gradient, of an untrained model that is always the same."""
    torch.manual_seed(0)
    shape = Prefer(ties=0, sides=0)
    model, tokenizer = shape.load(llama, votes.labels)
    shape = shape.bound(votes, tokenizer)
    data = ItemDataset(votes, tokenizer, shape=shape)
    rule = PreferRule(shape.raters, shape.scale(votes), [], shape=shape)
    rule.prepare(model.eval(), data)
    collate = ItemCollator(tokenizer, shape)
    losses = [rule.loss(model, collate([data[i] for i in rows]), 0.0).loss for rows in batches]
    loss = torch.stack(losses).mean()
    return loss.item(), torch.autograd.grad(loss, model.score.weight)[0]


def test_every_vote_counts_alike_in_whatever_batch_its_pair_is(llama: str) -> None:
    pairs = some_votes(4)
    votes = counted(pairs, [(7, 1, 0), (0, 1, 0), (1, 0, 0), (0, 1, 1)])
    together = loss_and_slope(llama, votes, [[0, 1, 2, 3]])
    apart = loss_and_slope(llama, votes, [[0, 1], [2, 3]])
    assert apart[0] == pytest.approx(together[0], abs=1e-6)
    torch.testing.assert_close(apart[1], together[1])
    table = votes.table
    alone = Annotations(
        table.assign(item_id=[f"v{n}" for n in range(len(table))]), votes.labels, "preference"
    )
    rows = loss_and_slope(llama, alone, [list(range(len(table)))])
    assert rows[0] == pytest.approx(together[0], abs=1e-6), "as a row per vote"
    torch.testing.assert_close(rows[1], together[1])


def test_shares_of_votes_train_and_are_scored_as_the_votes_that_they_are_of(llama: str) -> None:
    numbers = [(n % 9, 9 - n % 9, 1) for n in range(40)]
    votes = counted(some_votes(40), numbers)
    table = votes.table.groupby(["item_id", "label"], sort=False, as_index=False).first()
    sizes = votes.table.groupby(["item_id", "label"], sort=False).size().to_numpy()
    shares = Annotations(table.assign(label_share=sizes / 10), votes.labels, "preference")
    often = {**QUICK, "logging_steps": 1}
    first, second = (trained(llama, each, validation=None, training=often) for each in (votes, shares))
    ends = votes.items["text"].tolist(), votes.items["response_a"].tolist()
    np.testing.assert_allclose(first.reward(*ends), second.reward(*ends), atol=1e-4)
    accuracy = [[log["accuracy"] for log in each.history if "accuracy" in log] for each in (first, second)]
    assert accuracy[0]
    assert accuracy[0] == pytest.approx(accuracy[1], abs=1e-4)
    figures = [evaluate_adapter(first, each).figures for each in (votes, shares)]
    for name in ("vote_log_loss", "vote_accuracy", "side_accuracy", "tie_share", "predicted_tie_share"):
        assert figures[0][name] == pytest.approx(figures[1][name], abs=1e-6), name


def test_the_head_of_a_sentence_encoder_trains_at_a_rate_of_its_own(llama: str) -> None:
    votes = some_votes(4)
    for base, asked, rate in (("minilm", None, HEAD_RATE), ("minilm", 1e-3, 1e-3), (llama, None, None)):
        shape = Prefer(ties=0, sides=0, head_learning_rate=asked)
        model, _ = shape.load(base, votes.labels)
        carried = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", modules_to_save=head_modules(model)))
        found = shape.head_rates(carried)
        if rate is None:
            assert not found
            continue
        [(parameters, own)] = found
        names = {id(tensor): name for name, tensor in carried.named_parameters()}
        assert own == rate
        assert all("modules_to_save" in names[id(each)] for each in parameters), "the copy that is trained"
        assert sum(each.numel() for each in parameters) == model.config.hidden_size + 1


# TRL


@pytest.mark.parametrize("chat", [False, True])
def test_one_vote_per_pair_and_no_effects_is_trls_loss(tmp_path: Path, chat: bool) -> None:
    trl = pytest.importorskip("trl")
    from dcpc.preference.policy_data import chosen_dataset

    votes, _ = simulated_votes(RATERS, SURE, n_pairs=8, votes_per_pair=1)
    assert set(votes.table["label"]) == {"a", "b"}
    tokenizer = tiny_tokenizer(chat=chat)
    tiny_llama(tokenizer).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    model, _ = Prefer().load(str(tmp_path / "base"), votes.labels)
    arguments = trl.RewardConfig(
        output_dir=str(tmp_path), report_to=[], use_cpu=True, bf16=False, gradient_checkpointing=False
    )
    theirs = trl.RewardTrainer(
        model, args=arguments, train_dataset=chosen_dataset(votes, tokenizer), processing_class=tokenizer
    )
    shape = Prefer(ties=0, sides=0).bound(votes, tokenizer)
    data = ItemDataset(votes, tokenizer, shape=shape)
    rule = PreferRule(shape.raters, shape.scale(votes), RATERS, shape=shape)
    rule.prepare(model.eval(), data)
    ours = rule.loss(model, ItemCollator(tokenizer, shape)([data[i] for i in range(8)]), 0.0).loss
    batch = theirs.data_collator([theirs.train_dataset[i] for i in range(8)])
    expected = theirs.compute_loss(model, batch)
    assert ours.item() == pytest.approx(expected.item(), abs=1e-6)
    assert abs(ours.item() - 0.6931) > 1e-3
    found = [torch.autograd.grad(loss, model.score.weight)[0] for loss in (ours, expected)]
    torch.testing.assert_close(found[0], found[1], atol=1e-6, rtol=0)


# What is saved


def test_an_adapter_predicts_and_scores_the_same_when_it_is_loaded(
    adapter: TrainedAdapter, tmp_path: Path
) -> None:
    adapter.save(tmp_path / "a")
    again, votes = load_adapter(tmp_path / "a"), some_votes(10, seed=5)
    for form in ("distribution", "annotators"):
        pd.testing.assert_frame_equal(again.predict(votes.items, form), adapter.predict(votes.items, form))
    np.testing.assert_allclose(again.reward(["ask1"], ["nope1"]), adapter.reward(["ask1"], ["nope1"]))
    assert again.annotators == ["r", "s", "t"]


def test_a_low_rank_reward_model_is_a_plain_one_for_peft_and_transformers(llama: str, tmp_path: Path) -> None:
    ours = trained(llama, some_votes(), method="lora")
    ours.save(tmp_path / "a")
    with safe_open(tmp_path / "a" / "adapter_model.safetensors", "pt") as file:
        names = list(file.keys())
    assert names
    assert all("lora_" in name or "score" in name for name in names), "no rater among the adapter's tensors"
    expected = ours.reward(["ask1 ask2"] * 2, ["please1 please2", "nope1"])
    ids = [
        ours.tokenizer.apply_chat_template(
            [{"role": "user", "content": "ask1 ask2"}, {"role": "assistant", "content": reply}], return_dict=True,
            return_tensors="pt",
        )
        for reply in ("please1 please2", "nope1")
    ]  # fmt: skip
    model = AutoPeftModelForSequenceClassification.from_pretrained(tmp_path / "a", num_labels=1).eval()
    with torch.no_grad():
        plain = [model(**each).logits.item() for each in ids]
    np.testing.assert_allclose(plain, expected, atol=1e-5)
    model.merge_and_unload().save_pretrained(tmp_path / "merged")
    merged = AutoModelForSequenceClassification.from_pretrained(tmp_path / "merged").eval()
    assert merged.config.num_labels == 1
    with torch.no_grad():
        np.testing.assert_allclose([merged(**each).logits.item() for each in ids], expected, atol=1e-4)


def test_a_resumed_training_ends_where_an_uninterrupted_one_does(llama: str, tmp_path: Path) -> None:
    votes = some_votes()
    options = {"num_train_epochs": 4, "save_strategy": "epoch", "save_total_limit": 9, "learning_rate": 1e-2}
    whole = trained(llama, votes, {"tastes": 0.3}, training=options, checkpoints=tmp_path / "c")
    steps = sorted(int(path.name.split("-")[1]) for path in (tmp_path / "c").glob("checkpoint-*"))
    resume = tmp_path / "c" / f"checkpoint-{steps[1]}"
    again = trained(
        llama, votes, {"tastes": 0.3}, training=options, checkpoints=tmp_path / "c", resume=resume
    )
    for name, value in whole.rule.state().items():
        torch.testing.assert_close(again.rule.state()[name], value, msg=name)
    items = votes.items
    pd.testing.assert_frame_equal(again.predict(items, "distribution"), whole.predict(items, "distribution"))


# Who voted


def test_a_rater_who_calls_many_ties_is_expected_to(llama: str) -> None:
    votes = some_votes(150, ties=0.0)
    rng = np.random.default_rng(0)
    undecided = (votes.table["annotator_id"] == "t") & (rng.random(votes.n_judgements) < 0.8)
    table = votes.table.assign(label=votes.table["label"].mask(undecided, "tie"))
    found = trained(llama, Annotations(table, ("a", "b", "tie"), "preference"), {"ties": 2.0})
    held = some_votes(20, seed=9)
    rule = found.rule
    assert isinstance(rule, PreferRule)
    assert rule.raters is not None
    own = rule.raters.effects.mean[:, 0].tolist()  # type: ignore[union-attr]
    assert own[2] > max(own[:2]) + 0.3
    judged = found.evaluate(Annotations(held.table, ("a", "b", "tie"), "preference"))
    assert {"vote_accuracy", "vote_log_loss", "side_accuracy", "tie_share"} <= set(judged)


def test_an_unknown_rater_is_expected_to_vote_as_all_do_and_a_known_groups_member_as_the_group(
    llama: str,
) -> None:
    from dcpc.prediction import predict_annotators, predict_distribution

    groups = {"r": "x", "s": "x", "t": "y", "new": "y"}
    found = trained(llama, some_votes(), adapter={"annotator_groups": groups})
    items = some_votes(4, seed=2).items
    who = predict_annotators(found, items, np.arange(4), ["nobody", "nobody", "new", "nobody"])
    all_ = predict_distribution(found, items)
    np.testing.assert_allclose(who[[0, 1, 3]], all_[[0, 1, 3]], atol=1e-6)
    assert not np.allclose(who[2], all_[2], atol=1e-6)


@pytest.mark.parametrize("method", ["dcpc", "lora", "p-tuning-v2"])
def test_every_carrier_learns_rewards(llama: str, method: str) -> None:
    found = trained(llama, some_votes(150, ties=0.1), method=method, training=EAGER)
    held, politer = simulated_votes({"judge": 1.0}, {"judge": 0.0}, 80, 1, seed=31)
    ends = [
        found.reward(held.items["text"].tolist(), held.items[side].tolist())
        for side in ("response_a", "response_b")
    ]
    assert (np.sign(ends[0] - ends[1]) == politer).mean() > 0.75


def test_an_encoder_scores_joined_texts(tmp_path: Path) -> None:
    base = save_tiny_bert(tmp_path / "bert")
    rows = [
        (str(i), "the film was", "very good", "bad and awful", who, "a") for i in range(12) for who in "xy"
    ]
    rows += [(f"b{i}", "a meal was", "poor", "lovely", who, "b") for i in range(12) for who in "xy"]
    columns = ["item_id", "text", "response_a", "response_b", "annotator_id", "label"]
    votes = Annotations(pd.DataFrame(rows, columns=columns), ("a", "b"), "preference")
    found = trained(base, votes)
    good, bad = found.reward(["the film was"] * 2, ["good", "awful"])
    assert good > bad


def graded(labels: list[str]) -> Annotations:
    votes = some_votes(150)
    rng = np.random.default_rng(0)
    strong = rng.random(votes.n_judgements) < 0.5
    by_sign = {"a": (0, 1), "b": (4, 3), "tie": (2, 2)}
    names = [
        labels[by_sign[vote][int(weak)]] for vote, weak in zip(votes.table["label"], ~strong, strict=True)
    ]
    return Annotations(votes.table.assign(label=names), tuple(labels), "ordinal")


@pytest.mark.parametrize(
    "labels", [["-2", "-1", "0", "1", "2"], ["a wins", "a a bit", "no", "b a bit", "b wins"]]
)
def test_graded_votes_have_an_ordinal_likelihood(llama: str, labels: list[str]) -> None:
    votes = graded(labels)
    found = trained(llama, votes, training={**QUICK, "num_train_epochs": 8, "learning_rate": 2e-2})
    shares = found.predict(votes.items, "distribution")
    assert found.shape.name == "prefer"
    flipped = votes.items.assign(response_a=votes.items["response_b"], response_b=votes.items["response_a"])
    mirrored = found.predict(flipped, "distribution")
    columns = [f"p_{label}" for label in labels]
    np.testing.assert_allclose(shares[columns], mirrored[columns[::-1]], atol=1e-5)
    assert found.evaluate(votes)["side_accuracy"] > 0.7


# Bad input


def pair(**changes: Any) -> pd.DataFrame:
    row = {
        "item_id": "i",
        "text": "ask1",
        "response_a": "please0",
        "response_b": "nope0",
        "annotator_id": "r",
    }
    other = {**row, "item_id": "j", "response_b": "nope1", "label": "b"}
    return pd.DataFrame([{**row, "label": "a", **changes}, other])


@pytest.mark.parametrize(
    ("table", "labels", "scale", "message"),
    [
        (pair(response_a="  "), ("a", "b"), "preference", "response is empty"),
        (pair().assign(label="tie"), ("a", "b", "tie"), "preference", "all votes are ties"),
        (pair(), ("a", "c"), "preference", "neither side"),
        (pair(), ("a", "b"), "nominal", "not votes"),
    ],
)
def test_what_is_no_vote_between_two_responses_is_refused(
    table: pd.DataFrame, labels: tuple[str, ...], scale: Any, message: str
) -> None:
    with pytest.raises((DataError, UsageError), match=message):
        Prefer().check(Annotations(table, labels, scale))


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([("user", "ask1")], [("user", "ask1"), ("assistant", "nope1")], "last turn is of the role"),
        ([("user", "ask1"), ("assistant", "x")], [("user", "ask2"), ("assistant", "y")], "different prompts"),
        ([("user", "ask1"), ("assistant", " ")], [("user", "ask1"), ("assistant", "y")], "response is empty"),
    ],
)
def test_chats_that_are_no_pair_are_refused(a: Any, b: Any, message: str) -> None:
    chats = [json.dumps([{"role": role, "content": content} for role, content in turns]) for turns in (a, b)]
    table = pair().assign(messages_a=chats[0], messages_b=chats[1])
    with pytest.raises(DataError, match=message):
        Prefer().check(Annotations(table, ("a", "b"), "preference"))


def test_odd_votes_are_counted_and_trained_on(llama: str) -> None:
    votes = some_votes(30)
    first = votes.table.iloc[0]
    rows = [
        {**first, "item_id": "equal", "response_b": first["response_a"], "label": "tie"},
        {**first, "item_id": "turned", "response_a": first["response_b"], "response_b": first["response_a"]},
    ]
    always = [
        {**first, "item_id": f"x{i}", "text": f"ask3 {i}", "annotator_id": "yes", "label": "a"}
        for i in range(6)
    ]
    table = pd.concat([votes.table, pd.DataFrame([*rows, *always])], ignore_index=True)
    notes = " ".join(trained(llama, Annotations(table, votes.labels, "preference"), validation=None).notes)
    assert "1 pair with two equal responses" in notes
    assert "judged in both orders by one rater" in notes
    assert '1 rater gave one vote only: "yes" (a, 6 times)' in notes


def test_responses_that_are_cut_to_the_same_tokens_are_counted() -> None:
    tokenizer = tiny_tokenizer(chat=True)
    long = " ".join(["nope1"] * 80)
    items = pair(response_a=f"{long} nope3", response_b=f"{long} please1 nope3", text="ask1 " * 80).head(1)
    encoded = Prefer(chat=True).encode(items, tokenizer, 32)
    assert len(encoded.fields["input_ids"][0]) == 64
    assert "2 of 2 responses were too long" in encoded.notes[0]
    assert "1 pair with responses that differ, but not in the tokens" in encoded.notes[1]


def test_a_long_prompt_loses_its_beginning_before_a_response_loses_its_end() -> None:
    tokens = ResponseTokens(tiny_tokenizer(), 12, chat=False)
    asked = Response(
        [{"role": "user", "content": "ask1 " * 20}], [{"role": "assistant", "content": "please1 nope2"}]
    )
    (fitted,) = tokens([asked])
    assert (len(fitted.ids), fitted.cut_response) == (12, 0)
    assert tokens.tokenizer.decode(fitted.ids[-3:]) == "please1 nope2 </s>"
    wordy = Response(
        [{"role": "user", "content": "ask1"}], [{"role": "assistant", "content": "please1 " * 40}]
    )
    (fitted,) = tokens([wordy])
    assert (len(fitted.ids), fitted.cut_prompt) == (12, 0)
    assert fitted.ids[-1] == tokens.tokenizer.eos_token_id, "where a causal model reads the reward"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adapter": {"annotator_mode": "prefix"}}, "no effect on rewards"),
        ({"training": {"preset": "paper"}}, "likelihood of votes"),
        ({"task": {"template": "{text}"}}, "slot {response} once"),
    ],
)
def test_settings_without_effect_on_rewards_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        trained("nowhere", some_votes(8), **options)


def test_a_template_that_does_not_join_both_and_unknown_settings_are_refused() -> None:
    with pytest.raises(UsageError, match="ties"):
        task_shape({"name": "prefer", "ties": -1})


def test_rewards_need_an_adapter_that_gives_them_and_responses(adapter: TrainedAdapter) -> None:
    for prompts, responses, message in (
        (["ask1"], [], "as many prompts"),
        (["ask1"], [" "], "response is empty"),
        ([], [], "no responses"),
        ([["ask1"]], ["nope1"], "list of turns"),
    ):
        with pytest.raises((DataError, UsageError), match=message):
            adapter.reward(prompts, responses)  # type: ignore[arg-type]


def test_an_adapter_that_was_trained_on_chats_wants_chats(llama: str) -> None:
    votes = some_votes(20)
    chats = {
        f"messages_{side}": [
            json.dumps([{"role": "user", "content": text}, {"role": "assistant", "content": reply}])
            for text, reply in zip(votes.table["text"], votes.table[f"response_{side}"], strict=True)
        ]
        for side in "ab"
    }
    found = trained(llama, Annotations(votes.table.assign(**chats), votes.labels, "preference"))
    assert found.task.shape is not None
    assert found.task.shape["messages"]
    with pytest.raises(DataError, match="trained on chats"):
        found.predict(votes.items)


def test_a_new_rater_is_learned_from_a_few_votes_and_nobody_else_changes(
    adapter: TrainedAdapter, tmp_path: Path
) -> None:
    from dcpc.adaptation import adapt

    adapter.save(tmp_path / "a")
    found, items = load_adapter(tmp_path / "a"), some_votes(6, seed=8).items
    before = found.predict(items, "distribution"), found.predict(items, "annotators")
    few = some_votes(12, seed=4)
    table = few.table.drop_duplicates("item_id").assign(annotator_id="undecided", label="tie")
    known = few.table.head(3)
    done = adapt(found, Annotations(pd.concat([table, known]), few.labels, "preference"))
    assert done.annotators == ["undecided"]
    assert done.judgements == [12]
    assert "3 judgements of annotators whom the training knew" in done.notes[0]
    pd.testing.assert_frame_equal(found.predict(items, "distribution"), before[0])
    own = found.predict(items, "annotators")
    pd.testing.assert_frame_equal(own[own["annotator_id"] != "undecided"].reset_index(drop=True), before[1])
    ties = own["label"].eq("tie").groupby(own["annotator_id"]).mean()
    assert ties["undecided"] >= 0.5
    assert ties["undecided"] > ties.drop("undecided").max()
    found.save(tmp_path / "b")
    again = load_adapter(tmp_path / "b")
    pd.testing.assert_frame_equal(again.predict(items, "annotators"), own)
    # Later votes of the same rater, all for a side, are added to what is known.
    later = some_votes(24, seed=14)
    sided = later.table.drop_duplicates("item_id").assign(annotator_id="undecided", label="a")
    assert adapt(again, Annotations(sided, few.labels, "preference")).annotators == ["undecided"]
    more = again.predict(items, "annotators")
    assert more["annotator_id"].nunique() == 4
    assert more["label"].eq("tie").groupby(more["annotator_id"]).mean()["undecided"] < ties["undecided"]
    pd.testing.assert_frame_equal(again.predict(items, "distribution"), before[0])


def test_the_base_models_dropout_is_off(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    base = save_tiny_bert(tmp_path / "bert")
    config = BertConfig.from_pretrained(base, hidden_dropout_prob=0.5)
    BertModel.from_pretrained(base, config=config).save_pretrained(base)
    model, tokenizer = Prefer().load(base, ("a", "b"))
    inputs = tokenizer("the film was good", return_tensors="pt")
    assert model.train()(**inputs).logits.item() == model(**inputs).logits.item()


def test_the_log_has_accuracy_and_margin_as_trls_reward_trainer_has_them(llama: str, tmp_path: Path) -> None:
    trl = pytest.importorskip("trl")
    from dcpc.preference.policy_data import chosen_dataset

    votes, _ = simulated_votes(RATERS, SURE, n_pairs=24, votes_per_pair=1)
    found = trained(llama, votes, validation=votes, training={**EAGER, "logging_steps": 1})
    validated = [entry for entry in found.history if "eval_loss" in entry]
    assert len(validated) == 8
    steps = [entry for entry in found.history if "loss" in entry]
    assert all(0 <= entry["accuracy"] <= 1 for entry in steps)
    assert len({entry["margin"] for entry in steps}) == len(steps)
    best = min(validated, key=lambda entry: entry["eval_loss"])
    assert best["eval_margin"] > 0.1
    # The kept weights in TRL's own trainer give the figures that our log has of their epoch.
    arguments = trl.RewardConfig(
        output_dir=str(tmp_path), report_to=[], use_cpu=True, bf16=False, per_device_eval_batch_size=24
    )
    rows = chosen_dataset(votes, found.tokenizer)
    theirs = trl.RewardTrainer(
        found.model, args=arguments, train_dataset=rows, eval_dataset=rows, processing_class=found.tokenizer
    ).evaluate()
    assert best["eval_accuracy"] == pytest.approx(theirs["eval_accuracy"], abs=1e-6)
    assert best["eval_margin"] == pytest.approx(theirs["eval_margin"], abs=1e-4)
    found.save(tmp_path / "a")
    card = (tmp_path / "a" / "README.md").read_text(encoding="utf-8")
    assert f"response with the higher reward: {best['eval_accuracy']:.3f} (95 % interval" in card


def test_the_validation_loss_counts_every_vote_alike_whatever_its_pair_and_batch(llama: str) -> None:
    votes = some_votes(14, seed=5)
    few = votes.where((votes.item_codes + np.arange(len(votes.table))) % 5 > 0)  # two votes a pair, or three
    sizes = np.bincount(few.item_codes)
    assert len(set(sizes)) > 1
    shares = Annotations(few.table.assign(label_share=1 / sizes[few.item_codes]), few.labels, "preference")
    for given, weight in ((few, 1.0), (shares, shares.weights)):
        found = trained(
            llama,
            given,
            validation=given,
            training={**QUICK, "num_train_epochs": 1, "per_device_eval_batch_size": 4},
        )
        loss = next(entry["eval_loss"] for entry in found.history if "eval_loss" in entry)
        assert isinstance(found.rule, PreferRule)
        data = ItemDataset(given, found.tokenizer, shape=found.shape)
        batch = ItemCollator(found.tokenizer, found.shape)([data[i] for i in range(given.n_items)])
        with torch.no_grad():
            tokens = {name: batch[name] for name in ("input_ids", "attention_mask")}
            who = found.rule.annotator_index(found.model, given.table["annotator_id"].tolist())
            said = found.rule.predict(found.model.eval(), tokens, who, batch["item_index"])
        assert said.judgements is not None
        both = said.items[batch["item_index"]], said.judgements
        each = [-way.gather(1, batch["labels"][:, None])[:, 0].numpy() for way in both]  # of [J]
        weights = np.ones(len(few.table)) * weight
        expected = np.mean([way @ weights / weights.sum() for way in each])
        assert loss == pytest.approx(expected, abs=1e-5)


def test_nobodys_votes_are_predicted_where_votes_had_no_raters(llama: str) -> None:
    votes = some_votes(12)
    unnamed = Annotations(votes.table.drop(columns="annotator_id"), votes.labels, "preference")
    found = trained(llama, unnamed, training={"max_steps": 1})
    with pytest.raises(UsageError, match="knows no annotators") as refused:
        found.predict(votes.items, "annotators")
    assert "votes of two raters or more" in str(refused.value.fix)
    assert "--method" not in str(refused.value.fix), "which has nothing to do with raters"


def test_ties_are_no_part_of_accuracy_and_margin() -> None:
    from dcpc.preference.tally import MarginTally

    tally = MarginTally()
    tally.add(torch.tensor([2.0, -1.0, 5.0]), torch.tensor([1, 1, 0]))
    tally.add(torch.tensor([-3.0]), torch.tensor([-1]))
    assert tally.drained() == {"accuracy": pytest.approx(2 / 3), "margin": pytest.approx(4 / 3)}
    assert tally.drained() == {}, "each log has what came since the last"


def test_pairs_that_are_all_alike_and_a_single_response_are_refused(llama: str) -> None:
    votes = some_votes(12)
    table = votes.table
    alike = Annotations(table.assign(response_b=table["response_a"]), votes.labels, "preference")
    with pytest.raises(DataError, match="two equal responses"):
        trained(llama, alike)
    one = Annotations(table.drop(columns="response_b"), votes.labels, "nominal")
    with pytest.raises(UsageError, match="one response to each prompt"):
        trained(llama, one)
