"""What is exported gives the adapter's predictions in software that knows nothing of dcpc."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer
from vllm_rules import refusals

from dcpc import load_adapter, train_adapter
from dcpc.adapter import TrainedAdapter
from dcpc.cli import main
from dcpc.data import Annotations
from dcpc.errors import OutputError, UsageError
from dcpc.export import export_adapter
from dcpc.export.lora import shortest_endings
from dcpc.prediction import predict_annotators, predict_distribution
from dcpc.training.groups import annotator_groups
from dcpc.tuner.acting import dcpc_tuner
from tiny_models import save_tiny_bert, sentiment_judgements

LOW_RANK = {"rank": 2, "readout": False}

PLAIN = """
import json, sys
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

base, lora, merged, sentence, texts = *sys.argv[1:5], json.loads(sys.argv[5])
model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=2)
model = PeftModel.from_pretrained(model, lora).eval()
tokens = AutoTokenizer.from_pretrained(base)(texts, padding=True, return_tensors="pt")
with torch.no_grad():
    found = {"lora": model(**tokens).logits.softmax(dim=-1).tolist()}
for name, folder, options in (("merged", merged, {}), ("sentence", sentence, {"trust_remote_code": True})):
    said = pipeline("text-classification", model=folder, **options)(texts, top_k=None)
    found[name] = [[{one["label"]: one["score"] for one in row}[label] for label in ("no", "yes")] for row in said]
assert "dcpc" not in sys.modules
print(json.dumps(found))
"""


def trained(place: Path, mean_pooling: bool, data: Annotations | None = None, **adapter: Any) -> Path:
    base = save_tiny_bert(place / "base", mean_pooling=mean_pooling)
    done = train_adapter(
        sentiment_judgements(32, ("ann", "bob", "eve")) if data is None else data,
        0.4,
        base_model=base,
        adapter=adapter,
        training={"max_steps": 6, "learning_rate": 0.02},
        progress=False,
    )
    # People who judge otherwise, so that whom an export stands for makes a difference.
    effects = dcpc_tuner(done.model).annotators  # type: ignore[union-attr]
    with torch.no_grad():
        effects.mean.copy_(torch.tensor([[-1.0], [0.0], [1.0]]) * torch.ones(effects.mean.shape[1]))
    done.save(place / "adapter")
    return place / "adapter"


@pytest.fixture(scope="module")
def low_rank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("low-rank"), mean_pooling=False, **LOW_RANK)


@pytest.fixture(scope="module")
def sentence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("sentence"), mean_pooling=True, **LOW_RANK)


def items(n: int = 6) -> Any:
    return sentiment_judgements(n).items


def as_annotator(adapter: TrainedAdapter, name: str) -> np.ndarray:
    return predict_annotators(adapter, items(), np.arange(6), [name] * 6)


def test_plain_peft_and_the_pipeline_predict_as_the_annotator_without_dcpc(
    low_rank: Path, sentence: Path, tmp_path: Path
) -> None:
    base = low_rank.parent / "base"
    export_adapter(low_rank, tmp_path / "lora", "lora", annotator="eve")
    export_adapter(low_rank, tmp_path / "merged", "merged", annotator="eve")
    export_adapter(sentence, tmp_path / "sentence", "merged", annotator="eve")
    folders = [str(each) for each in (base, tmp_path / "lora", tmp_path / "merged", tmp_path / "sentence")]
    texts = items()["text"].tolist()
    said = subprocess.run(
        [sys.executable, "-c", PLAIN, *folders, json.dumps(texts)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr[-2000:]
    found = json.loads(said.stdout.splitlines()[-1])
    for name, folder in (("lora", low_rank), ("merged", low_rank), ("sentence", sentence)):
        np.testing.assert_allclose(found[name], as_annotator(load_adapter(folder), "eve"), atol=1e-4)
    others = as_annotator(load_adapter(low_rank), "ann")
    assert np.abs(others - found["lora"]).max() > 0.01, "eve is not ann"
    config = json.loads((tmp_path / "lora" / "adapter_config.json").read_text())
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 2, 4)
    assert sorted(config["target_modules"]) == ["attention.output.dense", "key", "query", "value"]


def test_the_consensus_is_as_near_as_it_says(low_rank: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    done = export_adapter(low_rank, tmp_path / "merged", "merged")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "merged").eval()
    tokens = AutoTokenizer.from_pretrained(tmp_path / "merged")(
        items()["text"].tolist(), padding=True, return_tensors="pt"
    )
    found = model(**tokens).logits.softmax(dim=-1).detach().numpy()
    wanted = predict_distribution(load_adapter(low_rank), items())
    assert 0 < done.largest_error < 0.2
    assert np.abs(found - wanted).max() <= done.largest_error + 1e-4
    assert model.config.dcpc["labels"] == ["no", "yes"]
    assert len(model.config.dcpc["offsets"]) == 2


def test_a_graph_holds_every_form_exactly(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    folder = trained(tmp_path, mean_pooling=True)  # the default: bottlenecks, readout and annotators
    export_adapter(folder, tmp_path / "onnx", "onnx")
    session = onnxruntime.InferenceSession(tmp_path / "onnx" / "model.onnx")
    tokens = AutoTokenizer.from_pretrained(tmp_path / "onnx")(
        items()["text"].tolist(), padding=True, return_tensors="np"
    )
    (logits,) = session.run(None, {each.name: tokens[each.name] for each in session.get_inputs()})
    found = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, predict_distribution(load_adapter(folder), items()), atol=1e-4)
    for form, why in (
        ("lora", "is a sentence encoder"),
        ("merged", "its bottlenecks are not linear"),
        ("gguf-ready", "GGUF files hold language models"),
    ):
        with pytest.raises(UsageError, match=why):
            export_adapter(folder, tmp_path / form, form)
        assert not (tmp_path / form).exists()


def test_what_is_no_lora_is_told_by_its_parts(tmp_path: Path) -> None:
    folder = trained(tmp_path, mean_pooling=False)
    why = "it has no low-rank update, and its bottlenecks are not linear, and its readout reads all layers"
    with pytest.raises(UsageError, match=why) as refused:
        export_adapter(folder, tmp_path / "lora", "lora")
    assert "--set rank=8 --set readout=false" in str(refused.value)
    assert not (tmp_path / "lora").exists()


@pytest.mark.parametrize("name", ["eve", "new"])
def test_a_graph_holds_an_annotator_of_the_training_and_one_adapted_to(tmp_path: Path, name: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    adapter = load_adapter(trained(tmp_path, mean_pooling=True))
    adapter.adapt(sentiment_judgements(6, ("new",)))
    adapter.save(tmp_path / "more")
    export_adapter(tmp_path / "more", tmp_path / "onnx", "onnx", annotator=name)
    session = onnxruntime.InferenceSession(tmp_path / "onnx" / "model.onnx")
    tokens = adapter.tokenizer(items()["text"].tolist(), padding=True, return_tensors="np")
    (logits,) = session.run(None, {each.name: tokens[each.name] for each in session.get_inputs()})
    found = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, as_annotator(adapter, name), atol=1e-4)


def test_a_group_is_its_stand_in(tmp_path: Path) -> None:
    data = sentiment_judgements(32, ("ann", "bob", "eve"))
    data.table["team"] = data.table["annotator_id"].map({"ann": "x", "bob": "y", "eve": "y"})
    adapter = train_adapter(
        data,
        None,
        base_model=save_tiny_bert(tmp_path / "base"),
        adapter={**LOW_RANK, "annotator_groups": annotator_groups(data, "team")},
        training={"max_steps": 6, "learning_rate": 0.02},
        progress=False,
    )
    adapter.task = adapter.task.model_copy(update={"group_column": "team"})
    adapter.save(tmp_path / "adapter")
    done = export_adapter(tmp_path / "adapter", tmp_path / "merged", "merged", group="y")
    assert (done.whose, done.largest_error) == ("group team=y", 0.0)
    with pytest.raises(UsageError, match="does not know group `z`"):
        export_adapter(tmp_path / "adapter", tmp_path / "other", "merged", group="z")


def test_what_cannot_be_exported_says_why_and_writes_nothing(
    low_rank: Path, sentence: Path, tmp_path: Path
) -> None:
    before = {path.name: path.read_bytes() for path in low_rank.iterdir()}
    out = tmp_path / "out"
    for folder, form, options, why in (
        (low_rank, "zip", {}, "there is no form `zip`"),
        (low_rank, "lora", {"annotator": "nobody"}, "does not know annotator `nobody`"),
        (low_rank, "lora", {"group": "x"}, "knows no groups"),
        (low_rank, "lora", {"annotator": "ann", "group": "x"}, "both given"),
        (sentence, "lora", {}, "is a sentence encoder"),
    ):
        with pytest.raises(UsageError, match=why):
            export_adapter(folder, out, form, **options)
        assert not out.exists()
    assert {path.name: path.read_bytes() for path in low_rank.iterdir()} == before


def test_what_is_advised_for_a_sentence_encoder_works(sentence: Path, tmp_path: Path) -> None:
    default = trained(tmp_path / "default", mean_pooling=True, bottleneck=4, readout=False)
    with pytest.raises(UsageError, match="is a sentence encoder") as caught:
        export_adapter(default, tmp_path / "out", "lora")
    fix = str(caught.value.fix)
    assert fix.index("--as onnx") < fix.index("--as merged") < fix.index("rank=8"), (
        "no training makes a LoRA of it"
    )
    export_adapter(sentence, tmp_path / "merged", "merged")
    assert "does not know it" in (tmp_path / "merged" / "README.md").read_text()


@pytest.mark.parametrize("form", ["merged", "onnx", "gguf-ready"])
def test_a_quantised_base_is_refused_before_it_is_loaded(low_rank: Path, tmp_path: Path, form: str) -> None:
    copied = shutil.copytree(low_rank, tmp_path / "adapter")
    task = json.loads((copied / "task.json").read_text())
    (copied / "task.json").write_text(json.dumps({**task, "quantise": "bnb-4bit"}))
    with pytest.raises(UsageError, match=f"quantised to bnb-4bit, whose weights the form `{form}`"):
        export_adapter(copied, tmp_path / "out", form)


def test_a_full_disk_is_named_and_no_fault_of_the_model(
    low_rank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")

    def no_room(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch.onnx, "export", no_room)
    with pytest.raises(OutputError, match="No space left"):
        export_adapter(low_rank, tmp_path / "out", "onnx")
    assert not list(tmp_path.iterdir())


def test_a_classifiers_lora_has_a_head_that_vllms_loader_does_not_take(
    low_rank: Path, tmp_path: Path
) -> None:
    export_adapter(low_rank, tmp_path / "lora", "lora")
    model = load_adapter(low_rank).model.get_base_model()
    linear = {"query", "key", "value", "dense"}
    found = refusals(tmp_path / "lora", {name for name, _ in model.named_modules()}, linear)
    assert found[0] == "modules_to_save"
    assert {each.rpartition(".classifier.")[0] for each in found[1:]} == {
        "a tensor that is no LoRA: base_model.model"
    }


def test_the_command(low_rank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["export", str(low_rank), "--as", "lora", "--output", str(tmp_path / "lora")]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    assert "for the consensus" in capsys.readouterr().out
    card = (tmp_path / "lora" / "README.md").read_text()
    assert "PeftModel.from_pretrained" in card
    assert "add these offsets" in card


def test_name_endings_are_as_short_as_they_can_be() -> None:
    every = ["a.attention.query", "a.attention.dense", "a.dense", "b.attention.query"]
    assert shortest_endings(["a.attention.query", "b.attention.query"], every) == ["query"]
    assert shortest_endings(["a.attention.dense"], every) == ["attention.dense"]
