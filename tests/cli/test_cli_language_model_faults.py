"""Language models that cannot do what they are asked for: one message before training, or a note that counts."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest
import transformers as tf

from tiny_language_models import (
    CHAT_AGAINST_SYSTEM,
    CHAT_WITHOUT_SYSTEM,
    LLAMA,
    save_tiny_language_model,
    tiny_tokenizer,
)
from tiny_writers import save_tiny_llama, two_styles

QUICK = ("--set", "num_train_epochs=1", "--set", "learning_rate=1e-3")


@pytest.fixture(scope="module")
def replies(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    table = two_styles(6).table
    return table.assign(text=[prompt[0]["content"] for prompt in table["prompt"]]).drop(columns="prompt")


def refused(dcpc, *arguments: object, output: Path) -> str:
    """The message of a training that is refused, on one line."""
    result = dcpc("train", *arguments, "--output", output)
    assert result.code != 0, result.out
    assert "Traceback" not in result.err
    assert not output.exists()
    return " ".join(result.err.split())


def saved(table: pd.DataFrame, folder: Path) -> Path:
    path = folder / "replies.jsonl"
    table.to_json(path, orient="records", lines=True)
    return path


def test_an_encoder_does_not_write(dcpc, replies, tiny_bert, tmp_path) -> None:
    said = refused(
        dcpc, saved(replies, tmp_path), "--task", "write", "--model", tiny_bert, output=tmp_path / "a"
    )
    assert "language head" in said


def test_an_encoder_decoder_reads_label_words_and_does_not_write(dcpc, reviews, replies, tmp_path) -> None:
    t5 = save_tiny_language_model(tmp_path / "t5", "t5")
    said = refused(dcpc, saved(replies, tmp_path), "--task", "write", "--model", t5, output=tmp_path / "a")
    assert "encoder-decoder" in said
    assert "smollm2" in said
    trained = dcpc("train", reviews, "--model", t5, "--label-words", "--output", tmp_path / "b", *QUICK)
    assert trained.code == 0, trained.err
    shares = tmp_path / "shares.csv"
    predicted = dcpc("predict", tmp_path / "b", reviews, "--output", shares, "--as", "distribution")
    assert predicted.code == 0, predicted.err
    assert (pd.read_csv(shares).select_dtypes("number").sum(axis=1) - 1).abs().max() < 1e-3


def test_a_classifier_has_no_language_head(dcpc, reviews, tmp_path) -> None:
    folder, tokenizer = tmp_path / "classifier", tiny_tokenizer()
    config = tf.LlamaConfig(vocab_size=len(tokenizer), pad_token_id=0, num_labels=2, **LLAMA)
    tf.LlamaForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    said = refused(dcpc, reviews, "--model", folder, "--label-words", output=tmp_path / "a")
    assert "language head" in said


@pytest.mark.parametrize("template", [CHAT_WITHOUT_SYSTEM, CHAT_AGAINST_SYSTEM])
def test_a_chat_template_that_drops_the_system_turn_is_told(dcpc, reviews, template, tmp_path) -> None:
    base = save_tiny_language_model(tmp_path / "llama", chat=template)
    flags = ("--label-words", "--set", "system=Be strict.")
    result = dcpc("train", reviews, "--model", base, *flags, "--output", tmp_path / "a", *QUICK)
    assert result.code == 0, result.err
    assert "system prompt stands at the head of the user's turn" in " ".join(
        (result.out + result.err).split()
    )


def test_the_end_token_may_pad(dcpc, reviews, tmp_path) -> None:
    base, tokenizer = save_tiny_language_model(tmp_path / "llama"), tiny_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(base)
    result = dcpc("train", reviews, "--model", base, "--label-words", "--output", tmp_path / "a", *QUICK)
    assert result.code == 0, result.err
    found = []
    items = pd.read_csv(reviews).drop_duplicates("item_id")
    for name, part in (("all", items), ("one", items.iloc[[3]])):
        part.to_csv(tmp_path / f"{name}.csv", index=False)
        predicted = dcpc(
            "predict", tmp_path / "a", tmp_path / f"{name}.csv", "--output", tmp_path / f"{name}-shares.csv",
            "--as", "distribution",
        )  # fmt: skip
        assert predicted.code == 0, predicted.err
        found.append(pd.read_csv(tmp_path / f"{name}-shares.csv"))
    alone = found[1].select_dtypes("number").to_numpy()[0]
    assert found[0].select_dtypes("number").to_numpy()[3] == pytest.approx(alone, abs=1e-4)


def test_empty_replies_are_told(dcpc, replies, tmp_path) -> None:
    base = save_tiny_llama(tmp_path / "llama")
    said = refused(
        dcpc, saved(replies.assign(response=""), tmp_path), "--task", "write", "--model", base,
        output=tmp_path / "a",
    )  # fmt: skip
    assert "empty" in said


def test_a_single_writer_is_trained_and_told(dcpc, replies, tmp_path) -> None:
    base, one = save_tiny_llama(tmp_path / "llama"), replies[replies["annotator_id"] == "loud"]
    result = dcpc(
        "train", saved(one, tmp_path), "--task", "write", "--model", base, "--output", tmp_path / "a", *QUICK
    )
    assert result.code == 0, result.err
    assert "All replies are by one writer (loud)" in " ".join((result.out + result.err).split())


def test_a_gguf_file_of_another_architecture_is_refused_by_name(dcpc, reviews, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    said = refused(dcpc, reviews, "--model", gguf_file(tmp_path), "--label-words", output=tmp_path / "a")
    assert "`clip`" in said
    assert "safetensors" in said


def test_a_cache_that_cannot_be_written_is_named(dcpc, reviews, tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    said = refused(dcpc, reviews, "--model", gguf_file(tmp_path), "--label-words", output=tmp_path / "a")
    assert "XDG_CACHE_HOME" in said
    assert os.fspath(tmp_path / "file") in said.replace(" ", "")


def gguf_file(folder: Path) -> Path:
    """A well-formed file of a model that reads pictures."""
    gguf = pytest.importorskip("gguf")
    path = folder / "picture.gguf"
    writer = gguf.GGUFWriter(path, "clip")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_template_alone_means_label_words_and_needs_its_slot(dcpc, reviews, tmp_path) -> None:
    base = save_tiny_language_model(tmp_path / "lm")
    given = (reviews, "--model", base, "--template")
    said = refused(dcpc, *given, "What is it?", output=tmp_path / "a")
    assert "{text}" in said
    trained = dcpc("train", *given, "{text} It was", "--output", tmp_path / "b", *QUICK)
    assert trained.code == 0, trained.err
    assert '"template": "{text} It was"' in (tmp_path / "b" / "task.json").read_text()
