"""What the benchmark measures is what the product does: one training, one set of figures, to the last digit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dcpc import load_adapter, read_annotations
from dcpc.cli import main
from dcpc_bench.method import TrainingSettings
from dcpc_bench.methods import METHODS
from dcpc_bench.rig.cell_data import CellData
from dcpc_bench.rig.run_job import measured
from dcpc_bench.statistics.splits import split_by_item
from tiny_models import save_tiny_bert, sentiment_judgements


@pytest.mark.parametrize("method", ["dcpc", "lora"])
def test_a_cell_and_dcpc_evaluate_give_the_same_figures(tmp_path: Path, method: str) -> None:
    annotations = sentiment_judgements(60, ("ann", "bob", "cem"))
    split = split_by_item(annotations, seed=1, validation=0.25)
    base = save_tiny_bert(tmp_path / "base", mean_pooling=True)
    settings = TrainingSettings(base_model=base, epochs=2, batch_size=16, max_length=32)
    fitted = METHODS[method].train(split.train, split.validation, settings, {}, 1)
    cell = measured(fitted, CellData(split))["metrics"]
    assert fitted.rule(split.validation) is not None

    fitted.adapter.save(tmp_path / "adapter")
    split.test.table.to_csv(tmp_path / "test.csv", index=False)
    command = [tmp_path / "adapter", tmp_path / "test.csv", "--output", tmp_path / "figures.json"]
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", *map(str, command)])
    assert not stop.value.code
    written = json.loads((tmp_path / "figures.json").read_text())
    assert {"macro_f1", "accuracy_argmax", "judgement_error", "mean_annotator_error"} <= set(cell)
    assert {name: written[name] for name in cell} == cell

    loaded = load_adapter(tmp_path / "adapter")
    test = read_annotations(tmp_path / "test.csv")
    assert {name: loaded.evaluate(test)[name] for name in cell} == cell
    predicted = loaded.predict(test).set_index("item_id")["label"]
    codes = predicted.loc[split.test.item_ids].map(list(annotations.labels).index).tolist()
    assert codes == measured(fitted, CellData(split))["decisions"]
