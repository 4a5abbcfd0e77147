"""A slider from the table to the figures: values that training never saw are predicted, decided for and measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import dcpc
from dcpc.adapter import TrainedAdapter
from dcpc.cli import main
from dcpc.errors import UsageError
from tiny_models import save_tiny_bert, sentiment_judgements

UNSEEN = tuple(range(23, 90, 5))
"""Values that are left out of the training."""


def table(items: int = 60, *, unseen: bool = False) -> pd.DataFrame:
    """High values for good reviews; the third annotator is stricter by 20. Only seen values, or only unseen ones."""
    judged = sentiment_judgements(items, ("ann", "bob", "cem")).table
    rng = np.random.default_rng(0)
    middle = np.where(judged["label"] == judged["label"].iloc[0], 70, 40)
    middle = middle - 20 * (judged["annotator_id"] == "cem")
    values = (middle + rng.normal(0, 8, len(judged))).round().astype(int).clip(0, 100)
    kept = np.isin(values, UNSEEN) == unseen
    return judged.assign(label=values.astype(str))[kept]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_bert(tmp_path_factory.mktemp("base") / "tiny", mean_pooling=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "scores.csv"
    table().to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def adapter(base: str, data: Path) -> TrainedAdapter:
    annotations = dcpc.read_annotations(data, range=(0, 100))
    return dcpc.train_adapter(annotations, base_model=base, training={"num_train_epochs": 2}, progress=False)


def test_values_nobody_chose_are_as_probable_as_their_neighbours(adapter: TrainedAdapter) -> None:
    shares = adapter.predict(["the film was good"], "distribution").filter(like="p_").to_numpy()[0]
    unseen = np.array(UNSEEN)
    assert shares[unseen].sum() > 0.3 * (shares[unseen - 1] + shares[unseen + 1]).sum() / 2


def test_the_median_is_decided_for_and_no_offsets_are_fitted(adapter: TrainedAdapter) -> None:
    assert adapter.task.decision is None
    predicted = adapter.predict(["the film was good"], "distribution").iloc[0]
    shares = predicted.filter(like="p_").to_numpy(dtype=float)
    assert int(predicted["label"]) == int((shares.cumsum() >= 0.5).argmax())
    most = adapter.predict(["the film was good"], "distribution", decide="accuracy").iloc[0]
    assert int(most["label"]) == int(shares.argmax())


def test_values_that_training_never_saw_are_evaluated(adapter: TrainedAdapter, tmp_path: Path) -> None:
    table(unseen=True).to_csv(tmp_path / "unseen.csv", index=False)
    figures = adapter.evaluate(dcpc.read_annotations(tmp_path / "unseen.csv", range=(0, 100)))
    assert figures["mean_absolute_error"] < 30
    assert figures["annotator_absolute_error"] < figures["mean_absolute_error"]  # the strict one is known


def test_without_the_likelihood_of_neighbours_unseen_values_are_worse(
    adapter: TrainedAdapter, base: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table(unseen=True).to_csv(tmp_path / "unseen.csv", index=False)
    annotations = dcpc.read_annotations(data, range=(0, 100))
    unseen = dcpc.read_annotations(tmp_path / "unseen.csv", range=(0, 100))
    for module in ("frozen_readout", "dcpc_rule"):
        monkeypatch.setattr(f"dcpc.training.{module}.slider_targets", lambda _: None)
    plain = dcpc.train_adapter(annotations, base_model=base, training={"num_train_epochs": 2}, progress=False)
    assert adapter.evaluate(unseen)["cross_entropy"] < plain.evaluate(unseen)["cross_entropy"] - 0.1


@pytest.mark.parametrize("method", ["dcpc", "lora"])
def test_the_commands_work_on_values_that_training_never_saw(
    base: str, tmp_path: Path, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data.csv"
    table(12).to_csv(data, index=False)

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as stop:
            main(list(arguments))
        assert not stop.value.code
        return capsys.readouterr().out

    options = ["--range", "0", "100", "--method", method, "--set", "num_train_epochs=1"]
    run("train", str(data), "--model", base, "--output", str(tmp_path / "adapter"), *options)
    pd.DataFrame(
        {"item_id": [1, 2], "text": ["the film was good", "a meal was awful"], "label": ["99", "1.0"]}
    ).to_csv(tmp_path / "new.csv", index=False)
    output = run(
        "evaluate",
        str(tmp_path / "adapter"),
        str(tmp_path / "new.csv"),
        "--output",
        str(tmp_path / "figures.json"),
    )
    assert "decided for distance" in " ".join(output.split())
    assert json.loads((tmp_path / "figures.json").read_text())["mean_absolute_error"] >= 0
    run(
        "predict", str(tmp_path / "adapter"), str(tmp_path / "new.csv"), "--as", "distribution",
        "--output", str(tmp_path / "p.csv"),
    )  # fmt: skip
    assert pd.read_csv(tmp_path / "p.csv").filter(like="p_").shape == (2, 101)


def test_labels_without_an_order_have_no_median(base: str) -> None:
    trained = dcpc.train_adapter(
        sentiment_judgements(24), None, base_model=base, training={"max_steps": 1}, progress=False
    )
    with pytest.raises(UsageError, match="no order"):
        trained.predict(["the film was good"], decide="distance")
