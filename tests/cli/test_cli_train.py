"""`dcpc train`: what it writes, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from safetensors.torch import load_file

from dcpc.cli.training_summary import print_notes
from dcpc.data import Annotations
from dcpc.data.splits import Division
from dcpc.errors import TrainingError
from dcpc.files import MANIFEST
from dcpc.recipe import Recipe, check_recipe, override, read_recipe
from dcpc.training.rule import LearningRule
from tiny_models import sentiment_judgements

QUICK = ("--set", "num_train_epochs=1")


def test_writes_a_peft_adapter_and_its_task(adapter: Path) -> None:
    files = {path.name for path in adapter.iterdir()}
    assert files == {"adapter_config.json", "adapter_model.safetensors", "README.md", "task.json", MANIFEST}
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
        (["--model", "./no-such-model"], 1, "no such folder"),
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
        (["--group-column", "label"], 2, "says nothing of annotators"),
        (["--set", "label_smoothing_factor=0.1"], 2, "has no effect here"),
        (["--set", "per_device_train_batch_size=abc"], 2, "per_device_train_batch_size"),
        (["--set", "per_device_train_batch_size=0"], 2, "at least 1"),
        (["--set", "per_device_train_batch_size=2.5"], 2, "per_device_train_batch_size"),
        (["--set", "gradient_accumulation_steps=0"], 2, "at least 1"),
        (["--set", "learning_rate=-1"], 2, "above 0"),
        (["--set", "learning_rate=.nan"], 2, "finite"),
        (["--set", "max_steps=abc"], 2, "max_steps"),
        (["--set", "max_steps=0"], 2, "max_steps"),
        (["--set", "num_train_epochs="], 2, "cannot be nothing"),
        (["--set", "num_train_epochs=0"], 2, "above 0"),
        (["--set", "num_train_epochs=-1"], 2, "above 0"),
        (["--set", "seed=abc"], 2, "seed"),
        (["--set", "seed=-1"], 2, "seed"),
        (["--seed", "99999999999"], 2, "seed"),
        (["--set", "report_to=abacus"], 1, "abacus"),
        (["--set", "eval_strategy=sometimes"], 2, "sometimes"),
        (["--set", "fsdp=abc"], 2, "fsdp=abc is not carried out"),
        (["--set", "ambiguity_weight=abc"], 2, "ambiguity_weight"),
        (["--set", "mined_pairs=abc"], 2, "mined_pairs"),
        (["--set", "ema_decay=7"], 2, "[0, 1]"),
        (["--set", "num_virtual_tokens=1.5"], 2, "num_virtual_tokens"),
        (["--set", "readout=maybe"], 2, "readout"),
        (["--set", "readout=none"], 2, "readout"),
        (["--set", "gate=maybe"], 2, "gate"),
        (["--set", "target_modules=foo"], 1, "foo"),
        (["--set", "objective=foo"], 2, "ambiguity_weight=0.1"),
        (["--set", "metric_for_best_model=accuracy"], 2, "validation loss"),
        (["--set", "output_dir=elsewhere"], 2, "--output"),
        (["--set", "labels=[a, b]"], 2, "--labels"),
        (["--set", "annotators=[ann]"], 2, "those of the data"),
        (["--method", "lora", "--set", "r=abc"], 2, "`r`"),
        (["--method", "lora", "--set", "r=0"], 2, "fit"),
        (["--method", "lora", "--set", "target_modules=foo"], 2, "modules"),
        (["--method", "lora", "--group-column", "text"], 2, "knows no annotators"),
        (["--preset", "paper", "--group-column", "text"], 2, "nothing is learned of annotators"),
        (["--set", "annotator_mode=none", "--group-column", "text"], 2, "nothing is learned of annotators"),
        (["--method", "lora", "--preset", "paper"], 2, "preset `paper`"),
        (["--method", "lora", "--set", "ambiguity_weight=1"], 2, "ambiguity_weight"),
        (["--method", "lora", "--set", "bottleneck=3"], 2, "bottleneck"),
        (["--method", "p-tuning-v2", "--set", "num_virtual_tokens=0"], 2, "num_virtual_tokens"),
        (["--set", "method=lora", "--set", "r=abc"], 2, "`r`"),
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


def test_groups_of_a_single_annotator_are_refused(dcpc, tiny_bert, tmp_path) -> None:
    data, output = tmp_path / "data.csv", tmp_path / "adapter"
    sentiment_judgements(12, ("ann",)).table.assign(camp="east").to_csv(data, index=False)
    result = dcpc("train", data, "--model", tiny_bert, "--output", output, "--group-column", "camp", *QUICK)
    assert result.code == 2
    assert "single annotator" in result.err
    assert not output.exists()


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
        ("item_id,text,annotator_id,label\n1,good,a,yes\n1,good,a,no\n", "class"),  # the latest counts
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


@pytest.mark.parametrize("value", ["1e-3", "0.001", "1.0e-3"])
def test_a_recipe_takes_the_numbers_that_set_takes(tmp_path, value) -> None:
    (tmp_path / "recipe.yaml").write_text(f"model: m\ntraining: {{learning_rate: {value}}}\n")
    recipe = check_recipe(read_recipe(tmp_path / "recipe.yaml"))
    assert recipe.training == check_recipe(override(Recipe(), [f"learning_rate={value}"])).training
    assert recipe.training["learning_rate"] == 1e-3


@pytest.mark.parametrize(
    ("assignment", "section", "value"),
    [
        ("eval_strategy=no", "training", "no"),
        ("bf16=no", "training", False),
        ("readout=no", "adapter", False),
        ("readout=true", "adapter", True),
        ("num_train_epochs=2", "training", 2),
        ("similarity_quantile=", "objective", None),
        ("annotator_mode=none", "adapter", "none"),
    ],
)
def test_a_word_means_what_its_field_takes(assignment, section, value) -> None:
    found = getattr(check_recipe(override(Recipe(), [assignment])), section)
    assert found == {assignment.partition("=")[0]: value}
    assert type(next(iter(found.values()))) is type(value)


def test_one_seed_decides_wherever_it_is_given(dcpc, reviews, tiny_bert, tmp_path, monkeypatch) -> None:
    seen: list[tuple[int, list[str]]] = []

    def stop(train, validation, **settings):
        seen.append((settings["training"]["seed"], list(validation.item_ids)))
        raise TrainingError("stopped by the test.")

    monkeypatch.setattr("dcpc.fit.train_adapter", stop)
    for number, given in enumerate((["--seed", "3"], ["--set", "seed=3"], [])):
        dcpc("train", reviews, "--model", tiny_bert, "--output", tmp_path / str(number), *given)
    assert seen[0] == seen[1]
    assert seen[0][0] == 3
    assert seen[0][1] != seen[2][1]


def test_a_training_that_never_evaluates_says_so(dcpc, reviews, tiny_bert, tmp_path) -> None:
    result = dcpc(
        "train",
        reviews,
        "--model",
        tiny_bert,
        "--output",
        tmp_path / "a",
        *QUICK,
        "--set",
        "eval_strategy=no",
    )
    assert result.code == 0, result.err
    assert "not measured" in result.out


def test_trains_into_the_working_directory(dcpc, reviews, tiny_bert, tmp_path, monkeypatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    result = dcpc("train", reviews, "--model", tiny_bert, "--output", ".", *QUICK)
    assert result.code == 0, result.err
    assert (tmp_path / "empty" / "task.json").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_relative_base_model_is_found_from_anywhere(
    dcpc, reviews, tiny_bert, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(Path(tiny_bert).parent)
    assert dcpc("train", reviews, "--model", "./tiny", "--output", tmp_path / "a", *QUICK).code == 0
    monkeypatch.chdir(tmp_path)
    assert dcpc("evaluate", "a", reviews).code == 0


def test_files_of_the_adapter_have_the_usual_permissions(dcpc, reviews, tiny_bert, tmp_path) -> None:
    before = os.umask(0o022)
    try:
        dcpc("train", reviews, "--model", tiny_bert, "--output", tmp_path / "a", *QUICK)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a").iterdir()}
    assert set(modes.values()) == {0o644}


def test_items_of_other_splits_are_left_out_and_counted(dcpc, reviews, tiny_bert, tmp_path) -> None:
    table = pd.read_csv(reviews)
    number = table["item_id"].str.split().str[1].astype(int)
    table.assign(split=number.map(lambda n: "test" if n < 4 else "train")).to_csv(tmp_path / "s.csv")
    result = dcpc("train", tmp_path / "s.csv", "--model", tiny_bert, "--output", tmp_path / "a", *QUICK)
    assert result.code == 0, result.err
    assert "4 of `test`" in result.err
    assert "18 to train on, 2 for validation, 4 left out" in " ".join(result.out.split())


def test_a_split_that_names_no_training_items_is_refused(dcpc, reviews, tiny_bert, tmp_path) -> None:
    pd.read_csv(reviews).assign(split="test").to_csv(tmp_path / "s.csv")
    result = dcpc("train", tmp_path / "s.csv", "--model", tiny_bert, "--output", tmp_path / "a", *QUICK)
    assert result.code == 1
    assert '"test"' in result.err
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("set", ["max_steps=1", "num_train_epochs=1"])
def test_a_training_of_one_step_trains(dcpc, reviews, tiny_bert, tmp_path, set) -> None:
    arguments = ("train", reviews, "--model", tiny_bert, "--method", "lora", "--output", tmp_path / "a")
    assert dcpc(*arguments, "--set", set).code == 0
    weights = load_file(tmp_path / "a" / "adapter_model.safetensors")
    assert any(tensor.any() for name, tensor in weights.items() if "lora_B" in name)


@pytest.mark.parametrize(
    ("loss", "says"), [(0.1, ""), (0.3, "learnt nothing"), (0.7, "learnt nothing"), (1.2, "diverged")]
)
def test_a_training_that_is_too_short_has_not_diverged(capsys, loss, says) -> None:
    rows = [(f"i{n}", "text", "yes" if n < 2 else "no") for n in range(50)]  # the shares alone cost 0.17 nats
    judged = Annotations(pd.DataFrame(rows, columns=["item_id", "text", "label"]), ("no", "yes"), "nominal")
    trained = SimpleNamespace(history=[{"eval_loss": loss}], notes=[], rule=LearningRule())
    print_notes(Division(judged, judged, {}), trained)
    said = capsys.readouterr().err
    assert says in said
    assert bool(said) == bool(says)


@pytest.mark.parametrize(("loss", "says"), [(0.6, ""), (0.9, "learnt nothing")])
def test_votes_for_the_first_side_alone_are_compared_with_a_coin(capsys, loss, says) -> None:
    rows = [(f"i{n}", "text", "better", "worse", "a") for n in range(50)]
    names = ["item_id", "text", "response_a", "response_b", "label"]
    votes = Annotations(pd.DataFrame(rows, columns=names), ("a", "b"), "preference")
    trained = SimpleNamespace(history=[{"eval_loss": loss}], notes=[], rule=LearningRule())
    print_notes(Division(votes, votes, {}), trained)
    said = capsys.readouterr().err
    assert says in said
    assert bool(said) == bool(says)


def test_a_diverged_training_is_told_from_one_that_went_well(dcpc, reviews, tiny_bert, tmp_path) -> None:
    arguments = ("train", reviews, "--model", tiny_bert, "--method", "lora")
    well = dcpc(*arguments, "--output", tmp_path / "well", *QUICK)
    assert "diverged" not in well.err
    wild = ("--set", "learning_rate=1e6", "--set", "max_grad_norm=0", "--set", "max_steps=4")
    assert "diverged" in dcpc(*arguments, "--output", tmp_path / "wild", *wild).err
