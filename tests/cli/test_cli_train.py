"""`dcpc train`: what it writes, and what it says when it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

QUICK = ("--set", "num_train_epochs=1")


def test_writes_a_peft_adapter_and_its_task(adapter: Path) -> None:
    files = {path.name for path in adapter.iterdir()}
    assert files == {"adapter_config.json", "adapter_model.safetensors", "README.md", "task.json"}
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert config["peft_type"] == "DCPC"
    assert config["annotators"] == ["ann", "bob", "cem"]
    assert config["labels"] == ["no", "yes"]


def test_leaves_no_checkpoints_behind(adapter: Path) -> None:
    assert [path.name for path in adapter.parent.iterdir()] == ["adapter"]


@pytest.mark.parametrize("method", ["lora", "p-tuning-v2"])
def test_peft_methods_are_one_flag_away(dcpc, reviews, tiny_bert, tmp_path, method) -> None:
    output = tmp_path / "adapter"
    result = dcpc("train", reviews, "--model", tiny_bert, "--output", output, "--method", method, *QUICK)
    assert result.code == 0, result.err
    assert f"{method} on" in " ".join(result.out.split())
    assert dcpc("evaluate", output, reviews).code == 0


def test_summary_names_what_was_done(dcpc, reviews, tiny_bert, tmp_path) -> None:
    result = dcpc("train", reviews, "--model", tiny_bert, "--output", tmp_path / "a", *QUICK)
    for word in ("Items", "Annotators", "Krippendorff", "Trainable parameters", "Training time", "Adapter"):
        assert word in result.out


def test_flags_override_the_recipe(dcpc, reviews, tiny_bert, tmp_path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"model: {tiny_bert}\nmethod: lora\ntraining: {{num_train_epochs: 1}}\nadapter: {{r: 2}}\n"
    )
    output = tmp_path / "adapter"
    assert dcpc("train", reviews, "--recipe", recipe, "--output", output, "--set", "r=4").code == 0
    config = json.loads((output / "adapter_config.json").read_text())
    assert (config["peft_type"], config["r"]) == ("LORA", 4)


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (["--model", "no/such-model"], 1, "no/such-model"),
        (["--method", "magic"], 2, "lora"),
        (["--preset", "magic"], 2, "paper"),
        (["--set", "learning_rat=1"], 2, "learning_rate"),
        (["--set", "learning_rate"], 2, "key=value"),
        (["--set", "learning_rate=fast"], 2, "learning_rate"),
        (["--columns", "text=comment"], 1, "comment"),
        (["--columns", "text"], 2, "text=comment"),
        (["--scale", "wide"], 2, "ordinal"),
        (["--recipe", "nowhere.yaml"], 2, "nowhere.yaml"),
        (["--group-column", "club"], 2, "club"),
    ],
)
def test_wrong_settings_give_one_message_and_write_nothing(
    dcpc, reviews, tiny_bert, tmp_path, change, code, says
) -> None:
    output = tmp_path / "adapter"
    base = [] if "--model" in change else ["--model", tiny_bert]
    result = dcpc("train", reviews, *base, "--output", output, *QUICK, *change)
    assert result.code == code
    assert says in result.err
    assert "Traceback" not in result.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "empty"),
        ("text,label\n", "no judgements"),
        ("text\nhello\n", "label"),
        ("text,label\ngood,yes\n,no\n", "text"),
        ("text,label\ngood,yes\nbad,\n", "label"),
        ("text,label\ngood,yes\nbad,yes\n", "class"),
        ("text,label\n1,yes\n2,no\n3,yes\n", "number"),
        ("item_id,text,annotator_id,label\n1,good,a,yes\n1,good,a,no\n", "annotator"),
        ("item_id,text,annotator_id,label\n1,good,a,yes\n1,bad,b,no\n", "text"),
    ],
)
def test_unusable_data_give_one_message_and_write_nothing(dcpc, tiny_bert, tmp_path, content, says) -> None:
    data = tmp_path / "data.csv"
    data.write_text(content)
    result = dcpc("train", data, "--model", tiny_bert, "--output", tmp_path / "adapter", *QUICK)
    assert result.code == 1
    assert "data.csv" in result.err
    assert says in result.err.lower()
    assert "Traceback" not in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]


def test_not_utf8_names_the_file(dcpc, tiny_bert, tmp_path) -> None:
    data = tmp_path / "data.csv"
    data.write_bytes("text,label\ncafé,yes\nthé,no\n".encode("latin-1"))
    result = dcpc("train", data, "--model", tiny_bert, "--output", tmp_path / "adapter")
    assert result.code == 1
    assert "UTF-8" in result.err


def test_a_very_long_text_is_cut_not_refused(dcpc, tiny_bert, tmp_path) -> None:
    data = tmp_path / "data.csv"
    rows = [f"item {i},{'good' if i % 2 else 'bad'},{'yes' if i % 2 else 'no'}" for i in range(20)]
    data.write_text("\n".join(["item_id,text,label", *rows, f"long,{'very ' * 20_000},no"]) + "\n")
    result = dcpc("train", data, "--model", tiny_bert, "--output", tmp_path / "adapter", *QUICK)
    assert result.code == 0, result.err


def test_a_single_annotator_trains_without_conditioning(dcpc, tiny_bert, tmp_path) -> None:
    data = tmp_path / "data.csv"
    rows = [f"item {i},{'good' if i % 2 else 'bad'},ann,{'yes' if i % 2 else 'no'}" for i in range(20)]
    data.write_text("\n".join(["item_id,text,annotator_id,label", *rows]) + "\n")
    result = dcpc("train", data, "--model", tiny_bert, "--output", tmp_path / "adapter", *QUICK)
    assert result.code == 0, result.err
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["annotators"] is None


def test_a_full_output_folder_is_left_as_it_is(dcpc, reviews, tiny_bert, tmp_path) -> None:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "mine.txt").write_text("keep")
    result = dcpc("train", reviews, "--model", tiny_bert, "--output", tmp_path / "adapter", *QUICK)
    assert result.code == 2
    assert "--force" in result.err
    assert [path.name for path in (tmp_path / "adapter").iterdir()] == ["mine.txt"]


def test_an_output_that_cannot_be_made_says_so(dcpc, reviews, tiny_bert, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    result = dcpc("train", reviews, "--model", tiny_bert, "--output", tmp_path / "file" / "adapter", *QUICK)
    assert result.code == 2
    assert "Traceback" not in result.err


def test_a_loss_that_is_no_number_stops_and_keeps_the_checkpoint(dcpc, reviews, tiny_bert, tmp_path) -> None:
    output = tmp_path / "adapter"
    result = dcpc(
        "train", reviews, "--model", tiny_bert, "--output", output, "--set", "learning_rate=1e30",
        "--set", "max_grad_norm=0", "--set", "lr_scheduler_type=constant", "--set", "num_train_epochs=4",
        "--set", "per_device_train_batch_size=24",
    )  # fmt: skip
    assert result.code == 1
    assert "loss became" in result.err
    assert not output.exists()
