"""`dcpc predict` and `dcpc evaluate`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest


def test_consensus_is_one_label_per_item(dcpc, adapter, reviews, tmp_path) -> None:
    output = tmp_path / "p.csv"
    assert dcpc("predict", adapter, reviews, "--output", output).code == 0
    table = pd.read_csv(output)
    assert len(table) == 24
    assert set(table["label"]) <= {"no", "yes"}


def test_distribution_sums_to_one_and_agrees_with_the_consensus(dcpc, adapter, reviews, tmp_path) -> None:
    output = tmp_path / "p.parquet"
    assert (
        dcpc(
            "predict", adapter, reviews, "--output", output, "--as", "distribution", "--decide", "accuracy"
        ).code
        == 0
    )
    table = pd.read_parquet(output)
    shares = table[["p_no", "p_yes"]]
    assert shares.sum(axis=1).to_numpy() == pytest.approx(1)
    assert (shares.idxmax(axis=1).str.removeprefix("p_") == table["label"]).all()


def test_annotators_are_crossed_with_items(dcpc, adapter, reviews, tmp_path) -> None:
    output = tmp_path / "p.jsonl"
    assert dcpc("predict", adapter, reviews, "--output", output, "--as", "annotators").code == 0
    table = pd.read_json(output, lines=True)
    assert len(table) == 24 * 3
    assert not table.duplicated(["item_id", "annotator_id"]).any()


def test_data_need_no_labels(dcpc, adapter, tmp_path) -> None:
    data = tmp_path / "new.csv"
    data.write_text("text\nthe film was good\nthe meal was awful\n")
    assert dcpc("predict", adapter, data, "--output", tmp_path / "p.csv").code == 0
    assert len(pd.read_csv(tmp_path / "p.csv")) == 2


def test_batch_size_does_not_change_predictions(dcpc, adapter, reviews, tmp_path) -> None:
    for size in (1, 7):
        output = tmp_path / f"{size}.csv"
        dcpc("predict", adapter, reviews, "--output", output, "--as", "distribution", "--batch-size", size)
    one, seven = (pd.read_csv(tmp_path / f"{size}.csv")["p_yes"].to_numpy() for size in (1, 7))
    assert one == pytest.approx(seven, abs=1e-6)


def test_evaluate_writes_figures(dcpc, adapter, reviews, tmp_path) -> None:
    output = tmp_path / "figures.json"
    assert dcpc("evaluate", adapter, reviews, "--output", output).code == 0
    figures = json.loads(output.read_text())
    assert figures["items"] == 24
    assert 0 <= figures["judgement_error"] <= 1
    assert figures["jensen_shannon"] >= 0


def test_an_unknown_label_in_the_data_is_named(dcpc, adapter, tmp_path) -> None:
    data = tmp_path / "data.csv"
    data.write_text("text,label\ngood film,yes\nbad film,perhaps\n")
    result = dcpc("evaluate", adapter, data)
    assert result.code == 1
    assert "perhaps" in result.err


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_missing_file_is_named(dcpc, adapter, reviews, tmp_path, name) -> None:
    broken = Path(shutil.copytree(adapter, tmp_path / "adapter"))
    (broken / name).unlink()
    result = dcpc("predict", broken, reviews, "--output", tmp_path / "p.csv")
    assert result.code == 1
    assert name in result.err
    assert not (tmp_path / "p.csv").exists()


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors", "task.json"])
def test_an_altered_file_is_named(dcpc, adapter, reviews, tmp_path, name) -> None:
    broken = Path(shutil.copytree(adapter, tmp_path / "adapter"))
    (broken / name).write_bytes((broken / name).read_bytes()[:-20] + b"altered by someone!!")
    result = dcpc("predict", broken, reviews, "--output", tmp_path / "p.csv")
    assert result.code == 1
    assert name in result.err
    assert "Traceback" not in result.err


def test_no_adapter_folder(dcpc, reviews, tmp_path) -> None:
    result = dcpc("predict", tmp_path / "nowhere", reviews, "--output", tmp_path / "p.csv")
    assert result.code == 1
    assert "nowhere" in result.err


def test_annotators_of_an_adapter_that_knows_none(dcpc, reviews, tiny_bert, tmp_path) -> None:
    quick = ("--set", "num_train_epochs=1")
    dcpc("train", reviews, "--model", tiny_bert, "--output", tmp_path / "a", "--method", "lora", *quick)
    result = dcpc("predict", tmp_path / "a", reviews, "--output", tmp_path / "p.csv", "--as", "annotators")
    assert result.code == 2
    assert "knows no annotators" in result.err


def test_an_output_that_exists_is_kept(dcpc, adapter, reviews, tmp_path) -> None:
    (tmp_path / "p.csv").write_text("mine")
    assert dcpc("predict", adapter, reviews, "--output", tmp_path / "p.csv").code == 2
    assert (tmp_path / "p.csv").read_text() == "mine"


NEW = "text\nthe film was good\nthe meal was awful\nthe film was good\na long walk\n"


def test_rows_without_ids_get_one_prediction_each_in_their_order(dcpc, adapter, tmp_path) -> None:
    data, output = tmp_path / "new.csv", tmp_path / "p.csv"
    data.write_text(NEW)
    result = dcpc("predict", adapter, data, "--output", output, "--as", "distribution")
    assert result.code == 0, result.err
    table = pd.read_csv(output)
    assert table["text"].tolist() == NEW.split("\n")[1:-1]
    assert table["row"].tolist() == [2, 3, 4, 5]
    assert table.loc[0, "p_yes"] == table.loc[2, "p_yes"]
    assert "4 predictions of 4 rows" in result.out
    assert "one result per row" in result.err


def test_rows_of_one_item_id_get_one_prediction_and_a_note(dcpc, adapter, reviews, tmp_path) -> None:
    result = dcpc("predict", adapter, reviews, "--output", tmp_path / "p.csv")
    assert "24 predictions of 24 items" in result.out
    assert "72 rows of 24 items" in result.err


def test_an_empty_text_is_an_error_with_its_row(dcpc, adapter, tmp_path) -> None:
    data = tmp_path / "new.csv"
    data.write_text("text\nthe film was good\n\nthe meal was awful\n")
    result = dcpc("predict", adapter, data, "--output", tmp_path / "p.csv")
    assert result.code == 1
    assert "row 3" in result.err
    assert "empty" in result.err


def test_annotators_can_be_joined_back_without_ids(dcpc, adapter, tmp_path) -> None:
    data, output = tmp_path / "new.csv", tmp_path / "p.csv"
    data.write_text(NEW.replace("text", "text,code").replace("\n", ",x\n").replace("code,x", "code"))
    result = dcpc("predict", adapter, data, "--output", output, "--as", "annotators")
    assert result.code == 0, result.err
    table = pd.read_csv(output)
    assert table["row"].tolist() == [row for row in (2, 3, 4, 5) for _ in range(3)]
    assert table["annotator_id"].tolist() == ["ann", "bob", "cem"] * 4
    assert table["text"].nunique() == 3
    assert "--columns item_id=" in result.err


def test_an_id_of_ones_own_is_kept(dcpc, adapter, tmp_path) -> None:
    data, output = tmp_path / "new.csv", tmp_path / "p.csv"
    data.write_text("code,text\nx,a film\ny,a film\n")
    assert dcpc("predict", adapter, data, "--output", output, "--columns", "item_id=code").code == 0
    assert pd.read_csv(output)["item_id"].tolist() == ["x", "y"]


@pytest.mark.parametrize("output", ["p.xlsx", "p", "new.csv/p.csv"])
def test_an_output_that_cannot_be_written_is_refused_before_the_work(dcpc, tmp_path, output) -> None:
    data = tmp_path / "new.csv"
    data.write_text(NEW)
    # The adapter is not there: had the work begun, this would be the error.
    result = dcpc("predict", tmp_path / "none", data, "--output", tmp_path / output)
    assert result.code == 2
    assert output in result.err


def test_what_is_read_is_not_replaced_not_even_by_force(dcpc, adapter, reviews, tmp_path) -> None:
    data = tmp_path / "data.csv"
    data.write_bytes(reviews.read_bytes())
    (tmp_path / "link.csv").symlink_to(data)
    for output in (data, tmp_path / "link.csv", adapter / "predictions.csv"):
        refused = dcpc("predict", adapter, data, "--output", output, "--force")
        assert (refused.code, "would replace what is read" in refused.err) == (2, True), refused.err
    assert dcpc("evaluate", adapter, data, "--output", adapter / "task.json", "--force").code == 2
    assert data.read_bytes() == reviews.read_bytes()
    assert json.loads((adapter / "task.json").read_text())["labels"] == ["no", "yes"]
    assert not (adapter / "predictions.csv").exists()
