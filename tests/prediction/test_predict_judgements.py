"""Items and annotators are predicted in one pass, and as they are predicted apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcpc.adapter import TrainedAdapter
from dcpc.errors import UsageError
from dcpc.fit import train_adapter
from dcpc.prediction import predict_annotators, predict_distribution, predict_judgements
from tiny_models import save_tiny_bert, sentiment_judgements

DATA = sentiment_judgements(12)
CODES, WHO = np.array([3, 0, 3, 11]), ["ann", "nobody", "bob", "ann"]


def adapter(folder: Path, method: str = "dcpc", **changes: Any) -> TrainedAdapter:
    return train_adapter(
        DATA,
        None,
        base_model=save_tiny_bert(folder / "base", mean_pooling=True),
        method=method,
        adapter=changes,
        training={"max_steps": 2},
        progress=False,
    )


@pytest.mark.parametrize("mode", ["output", "prefix"])
@pytest.mark.parametrize("batch_size", [2, 64])
def test_both_are_what_they_are_alone(tmp_path: Path, mode: str, batch_size: int) -> None:
    trained = adapter(tmp_path, annotator_mode=mode)
    items, own = predict_judgements(trained, DATA.items, CODES, WHO, batch_size=batch_size)
    np.testing.assert_allclose(items, predict_distribution(trained, DATA.items), atol=1e-5)
    assert own is not None
    np.testing.assert_allclose(own, predict_annotators(trained, DATA.items, CODES, WHO), atol=1e-5)
    np.testing.assert_allclose(own.sum(axis=1), 1, atol=1e-9)


def test_unknown_annotators_are_predicted_as_anybody(tmp_path: Path) -> None:
    items, own = predict_judgements(adapter(tmp_path), DATA.items, CODES, WHO)
    assert own is not None
    np.testing.assert_allclose(own[1], items[0], atol=1e-6)
    assert np.abs(own[0] - items[3]).max() > 1e-6


def test_a_method_without_annotators_predicts_items_alone(tmp_path: Path) -> None:
    trained = adapter(tmp_path, "lora")
    items, own = predict_judgements(trained, DATA.items, CODES, WHO)
    assert own is None
    np.testing.assert_allclose(items, predict_distribution(trained, DATA.items), atol=1e-6)
    with pytest.raises(UsageError, match="knows no annotators"):
        predict_annotators(trained, DATA.items, CODES, WHO)
