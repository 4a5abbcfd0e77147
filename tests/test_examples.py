"""The tutorials under examples/ run, on a tiny base model, and do what they say."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from dcpc import train_adapter
from preference.tiny_policy import tiny_llama, tiny_tokenizer
from tiny_models import save_tiny_bert, sentiment_judgements

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_bert(tmp_path_factory.mktemp("base") / "tiny", mean_pooling=True)


def script(name: str) -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))


def test_every_example_has_a_test() -> None:
    tested = {
        "from_export_to_adapter",
        "reading_the_disagreement",
        "persons_and_groups",
        "serving",
        "load_test",
        "own_model",
        "best_of_n",
        "new_annotators",
        "policy_with_raters",
    }
    assert {path.stem for path in EXAMPLES.glob("*.py")} == tested


def test_from_an_export_to_an_adapter(base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = script("from_export_to_adapter")
    example["main"](example["small_export"](tmp_path), base, tmp_path)
    said = capsys.readouterr().out
    assert "64 judgements of 32 items by ['ann', 'bob']" in said
    assert "Awful and cold." in said or "p_bad" in said


def test_reading_the_disagreement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = script("reading_the_disagreement")
    example["main"](example["small_table"](tmp_path), tmp_path)
    assert "24 items, 72 judgements" in capsys.readouterr().out
    assert "<html" in (tmp_path / "disagreement.html").read_text(encoding="utf-8")


def test_a_policy_with_raters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("trl")
    example = script("policy_with_raters")
    texts = [*example["ASKED"], *example["ASKED"].values(), *example["MANNERS"].values()]
    tokenizer = tiny_tokenizer(words=sorted({word for text in texts for word in text.split()}))
    tiny_llama(tokenizer).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    quick = {
        "num_train_epochs": 12,
        "eval_steps": 24,
        "learning_rate": 1e-2,
        "beta": 0.1,
        "bf16": False,
        "use_cpu": True,
    }
    policy = example["main"]("casual", str(tmp_path), **quick)
    said = capsys.readouterr().out
    assert "**Before**" in said
    assert "KL to the reference per token" in said
    share = example["disagreeing"](policy)
    assert min(share["eva"], share["fay"]) > max(share[who] for who in ("ana", "ben", "cem", "dov"))


def test_the_best_of_several_replies(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    script("best_of_n")["main"](base)
    said = capsys.readouterr().out
    assert "Gladly: one moment, please." in said
    assert "p_tie" in said
    assert "cem" in said


def test_new_annotators(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    script("new_annotators")["main"](base)
    said = capsys.readouterr().out
    assert "critic and fan: [5, 5] judgements" in said
    assert "p_bad" in said


def test_persons_and_groups(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    script("persons_and_groups")["main"](base)
    said = capsys.readouterr().out
    assert "a group: lenient-1, lenient-2" in said
    assert "a group: strict-1, strict-2" in said
    assert said.count("strict-1  ") == 2, "a row for each text"


def test_serving_with_threads_gives_the_answers_of_one_thread(base: str, tmp_path: Path) -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip("httpx")
    from fastapi.testclient import TestClient

    train_adapter(
        sentiment_judgements(24), base_model=base, training={"num_train_epochs": 1}, progress=False
    ).save(tmp_path / "adapter")
    client = TestClient(script("serving")["app"](str(tmp_path / "adapter")))
    asked = [[f"the film was {word}"] * (1 + n % 3) for n, word in enumerate(("good", "bad", "poor") * 3)]
    figures = script("load_test")["load"](client, asked, requests=90)
    assert figures["wrong"] == 0
    assert 0 < figures["p50"] <= figures["p99"]
    same = script("load_test")["same"]
    rows = client.post("/predict", json={"texts": asked[0]}).json()
    assert not same([{**rows[0], "p_yes": rows[0]["p_yes"] + 0.01}], rows), "a wrong answer is found"
    assert client.post("/predict", json={"texts": ["fine", " "]}).status_code == 422
    assert client.post("/predict", json={"texts": []}).status_code == 422


def test_own_model(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    script("own_model")["main"](base)
    said = capsys.readouterr().out.splitlines()
    assert [line.rpartition(" is ")[2] for line in said] == [
        "its own",
        "its own",
        "its own",
        "wrapped",
        "wrapped",
    ]
    numbers = [int(line.partition(": ")[2].partition(" of ")[0].replace(",", "")) for line in said]
    assert numbers[1] < numbers[0], "one layer trains less than all"
