"""Prefixes that start from judged training items, through `train_adapter`, on tiny language models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dcpc import TrainedAdapter, load_adapter
from dcpc.data import Annotations
from dcpc.errors import DCPCError
from dcpc.fit import train_adapter
from dcpc.models import load_language_model
from dcpc.prediction import predict_distribution
from dcpc.tasks import Choose, LabelWords
from dcpc.tasks.prompts import PromptTemplate
from dcpc.training import DCPCTrainingArguments
from dcpc.training.carriers import DCPCCarrier
from dcpc.training.demonstrations import balanced, demonstration_ids
from dcpc.training.holdout import hold_out
from tiny_language_models import CHAT, save_tiny_language_model, tiny_tokenizer
from tiny_models import sentiment_judgements

WORDS = {"no": ["no", "never so"], "yes": ["yes"]}
TEMPLATE = "{text}\nAnswer ({labels}):"


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_language_model(tmp_path_factory.mktemp("base") / "llama")


def trained(
    base: str, number: int = 2, method: str = "dcpc", rate: float = 1e-12, **more: Any
) -> TrainedAdapter:
    training = {"demonstrations": number, "learning_rate": rate, "max_steps": 1, "seed": 3, "use_cpu": True}
    settings: dict[str, Any] = {"task": {"name": "label-words", "words": WORDS, "template": TEMPLATE}, **more}
    preset = {} if method != "dcpc" else {"preset": "paper"}
    training |= {**preset, **settings.pop("training", {})}
    return train_adapter(
        sentiment_judgements(), 0.25, base_model=base, method=method, max_length=64, progress=False,
        training=training, **settings,
    )  # fmt: skip


def behind_demonstrations(base: str, train: Annotations, items: Any, number: int) -> np.ndarray:
    """What the base model says of items [I, C] that it reads behind the demonstrations of seed 3."""
    model, tokenizer = load_language_model(base)
    shape = LabelWords(words=WORDS, template=TEMPLATE).bound(train, tokenizer)
    arguments = DCPCTrainingArguments(demonstrations=number, seed=3, use_cpu=True)
    each = demonstration_ids(shape, model, tokenizer, train, arguments, 64)
    shown = [token for ids in each for token in ids]
    encoded = shape.encode(items, tokenizer, 64)
    rows = []
    for i, prompt in enumerate(encoded.fields["input_ids"]):
        field = {"input_ids": [*shown, *prompt], "continuations": encoded.fields["continuations"][i]}
        with torch.no_grad():
            rows.append(shape.forward(model.eval(), shape.collate([field], tokenizer)).logits[0].softmax(-1))
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("method", ["dcpc", "p-tuning-v2"])
def test_a_training_starts_as_in_context_learning(llama: str, method: str) -> None:
    division = hold_out(sentiment_judgements(), 0.25, 3)
    assert division.validation is not None
    items = division.validation.items
    adapter = trained(llama, method=method)
    expected = behind_demonstrations(llama, division.train, items, 2)
    found = predict_distribution(adapter, items)
    np.testing.assert_allclose(np.log(found), np.log(expected), atol=1e-2)
    assert np.log(expected).std(axis=0).max() > 0.5


def test_it_trains_and_loads_again_without_its_demonstrations(llama: str, tmp_path: Path) -> None:
    items = sentiment_judgements().items
    start, adapter = trained(llama), trained(llama, rate=0.05)
    found = predict_distribution(adapter, items)
    assert np.abs(found - predict_distribution(start, items)).max() > 1e-3
    adapter.save(tmp_path / "adapter")
    np.testing.assert_allclose(
        predict_distribution(load_adapter(tmp_path / "adapter"), items), found, atol=1e-5
    )


def test_the_default_preset_trains_its_bottlenecks_behind_demonstrations_that_stay(
    llama: str, tmp_path: Path
) -> None:
    items = sentiment_judgements().items
    adapter = trained(llama, rate=0.05, training={"preset": "default"})
    config = adapter.model.active_peft_config
    assert (config.bottleneck, config.merge, config.gate, config.train_prefix) == (12, "concat", False, False)
    assert config.num_virtual_tokens > 10
    start = trained(llama, training={"preset": "default"})
    at_start = dict(start.model.named_parameters())
    moved = {n for n, t in adapter.model.named_parameters() if not torch.equal(t, at_start[n])}
    assert any("dcpc_down" in name or "dcpc_up" in name for name in moved)
    assert not any("dcpc_key" in name or "dcpc_value" in name for name in moved)
    found = predict_distribution(adapter, items)
    adapter.save(tmp_path / "adapter")
    again = load_adapter(tmp_path / "adapter")
    np.testing.assert_allclose(predict_distribution(again, items), found, atol=1e-5)


def test_a_prefix_of_the_default_preset_trains_where_that_is_asked_for(llama: str) -> None:
    adapter = trained(llama, training={"preset": "default"}, adapter={"train_prefix": True})
    assert adapter.model.active_peft_config.bottleneck == 0
    names = [name for name, tensor in adapter.model.named_parameters() if tensor.requires_grad]
    assert any("dcpc_key" in name for name in names)


@pytest.mark.parametrize(
    ("chat", "expected"),
    [
        (None, "{t}\nAnswer (no, yes): {l}\n\n"),
        (CHAT, "<|start|>user\n{t}\nAnswer (no, yes):<|end|>\n<|start|>assistant\n{l}<|end|>\n"),
    ],
    ids=["plain", "chat"],
)
def test_a_demonstration_is_a_prompt_with_its_answer(chat: str | None, expected: str) -> None:
    data, tokenizer = sentiment_judgements(), tiny_tokenizer(chat)
    shape = LabelWords(words=WORDS, template=TEMPLATE).bound(data, tokenizer)
    items = data.items.iloc[:2]
    shown = shape.demonstrations(items, [1, 0], tokenizer, 64)
    assert [tokenizer.decode(ids) for ids in shown] == [
        expected.format(t=text, l=label) for text, label in zip(items["text"], ["yes", "no"], strict=True)
    ]


def test_the_mark_of_the_beginning_stands_once() -> None:
    prompt = PromptTemplate(TEMPLATE, tiny_tokenizer(), ["no", "yes"])
    shown = prompt.demonstrations([[1, 7], [1, 8]], [[9], [9]])
    assert [ids.count(1) for ids in shown] == [1, 0]


def test_a_candidate_is_its_own_items() -> None:
    data, tokenizer = sentiment_judgements(), tiny_tokenizer()
    items = data.items.iloc[:2].assign(choices=['["good", "bad"]', '["lovely", "awful"]'])
    shown = Choose(n_choices=2).demonstrations(items, [1, 0], tokenizer, 64)
    assert [tokenizer.decode(ids).split("\n")[0] for ids in shown] == [
        f"{items['text'].iloc[0]} bad", f"{items['text'].iloc[1]} lovely"
    ]  # fmt: skip


def test_labels_take_turns_and_no_item_is_shown_twice() -> None:
    data = sentiment_judgements()
    rows = balanced(data, data.label_codes, 8, seed=0)
    assert len(set(data.item_codes[rows])) == 8
    codes = data.label_codes[rows].reshape(4, 2)
    assert (np.sort(codes, axis=1) == [0, 1]).all()
    usual = data.counts[data.item_codes[rows]]
    assert (usual[np.arange(8), data.label_codes[rows]] == usual.max(axis=1)).all()
    assert (rows == balanced(data, data.label_codes, 8, seed=0)).all()
    assert set(rows) != set(balanced(data, data.label_codes, 8, seed=1))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"task": None}, "the task classify has none"),
        ({"method": "lora"}, "lora has none"),
        ({"adapter": {"num_virtual_tokens": 4}}, "num_virtual_tokens is set"),
        ({"adapter": {"merge": "parallel"}}, "apart from the text"),
        ({"number": 13}, "there are 12 training items"),
        ({"number": 12}, "reads 256"),
        ({"number": -1}, "`demonstrations` must be at least 0"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(llama: str, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(DCPCError, match=said) as caught:
        trained(llama, **settings)
    assert caught.value.fix or "at least" in said


@pytest.mark.parametrize("method", ["dcpc", "p-tuning-v2"])
def test_an_encoder_decoder_is_refused(tmp_path: Path, method: str) -> None:
    t5 = save_tiny_language_model(tmp_path / "t5", "t5")
    with pytest.raises(DCPCError, match="no causal language model"):
        trained(t5, method=method)


@pytest.mark.parametrize("method", ["dcpc", "p-tuning-v2"])
def test_a_random_prefix_of_a_causal_model_gets_a_note(llama: str, method: str) -> None:
    assert any("demonstrations=12" in note for note in trained(llama, 0, method).notes)


@pytest.mark.parametrize(
    ("number", "settings"),
    [(2, {}), (0, {"method": "lora"}), (0, {"adapter": {"merge": "parallel"}})],
    ids=str,
)
def test_others_get_none(llama: str, number: int, settings: dict[str, Any]) -> None:
    assert not any("random numbers" in note for note in trained(llama, number, **settings).notes)


def usually(base: str, **settings: Any) -> TrainedAdapter:
    """A training that does not say how many demonstrations it wants."""
    return trained(base, training={"preset": "default", "demonstrations": None}, **settings)


def test_a_causal_model_that_answers_in_words_has_some_unless_told_otherwise(llama: str) -> None:
    adapter = usually(llama)
    (note,) = [note for note in adapter.notes if "demonstrations=0" in note]
    config = adapter.model.active_peft_config
    assert not any("random numbers" in note for note in adapter.notes)
    number = int(note.split(" training items")[0])  # twelve where these fit
    assert 2 <= number <= 12
    assert (config.bottleneck, config.train_prefix) == (12, False)
    asked = trained(llama, number, training={"preset": "default"})
    items = sentiment_judgements().items
    np.testing.assert_array_equal(predict_distribution(adapter, items), predict_distribution(asked, items))
    assert adapter.model.active_peft_config.num_virtual_tokens > 0
    none = trained(llama, 0, training={"preset": "default"})
    assert none.model.active_peft_config.num_virtual_tokens == 0


@pytest.mark.parametrize(
    "settings",
    [{"adapter": {"rank": 2}}, {"adapter": {"num_virtual_tokens": 3}}, {"method": "lora"}],
    ids=str,
)
def test_who_names_a_carrier_gets_it_alone(llama: str, settings: dict[str, Any]) -> None:
    adapter = usually(llama, **settings)
    assert not any("demonstrations=0" in note for note in adapter.notes)
    assert getattr(adapter.model.active_peft_config, "train_prefix", True)


@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_a_model_that_reads_on_from_no_prefix_trains_without(tmp_path: Path, kind: str) -> None:
    adapter = usually(save_tiny_language_model(tmp_path, kind))
    assert adapter.model.active_peft_config.num_virtual_tokens == 0
    assert not any("demonstrations" in note for note in adapter.notes)


def test_they_have_the_room_that_there_is(llama: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = load_language_model(llama)
    train = sentiment_judgements()
    shape = LabelWords(words=WORDS, template=TEMPLATE).bound(train, tokenizer)
    arguments = DCPCTrainingArguments(seed=3, use_cpu=True)

    def shown() -> list[list[int]]:
        return demonstration_ids(shape, model, tokenizer, train, arguments, 64)

    whole = shown()
    assert len(whole) > 5
    monkeypatch.setattr("dcpc.training.demonstrations.ROOM", sum(map(len, whole[:5])))
    assert shown() == whole[:5]
    monkeypatch.setattr("dcpc.training.demonstrations.ROOM", len(whole[0]))
    assert shown() == []  # one label would be shown and the other not


def test_a_carrier_behind_demonstrations_trains_at_a_lower_rate(llama: str) -> None:
    models = [trained(llama, number, training={"preset": "default"}).model for number in (0, 2)]
    carrier = DCPCCarrier()
    assert [carrier.rate_for(model, 500) for model in models] == [6e-3, 1e-3]
