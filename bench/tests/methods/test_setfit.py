"""SetFit by its own library: it learns the majority's labels, and knows no others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dcpc.data.annotations import Annotations
from dcpc.errors import UsageError
from dcpc_bench.method import TrainingSettings
from dcpc_bench.methods import setfit
from tiny_models import judgements, save_tiny_bert, sentiment_judgements

pytest.importorskip("setfit")


@pytest.fixture
def settings(tmp_path: Path) -> TrainingSettings:
    return TrainingSettings(base_model=save_tiny_bert(tmp_path / "base", mean_pooling=True), max_length=16)


def test_it_learns_what_the_majority_says(
    settings: TrainingSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setfit, "STEPS", 10)
    data = sentiment_judgements(24)
    fitted = setfit.fit_setfit(data, data, settings, 0)
    p = fitted.probabilities(data.items)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    labels = setfit.drawn_majority(data, 0)
    assert (p.argmax(axis=1) == labels).mean() > max(np.bincount(labels)) / len(labels)
    assert fitted.parameters > 1_000
    assert fitted.judged_probabilities(data.items, data.item_codes, [])[1] is None


def test_labels_that_tie_are_drawn_by_the_seed() -> None:
    rows = [
        (f"item {i}", "text", who, label) for i in range(40) for who, label in (("a", "no"), ("b", "yes"))
    ]
    tied = judgements(rows)
    drawn = setfit.drawn_majority(tied, 0)
    assert 0 < drawn.mean() < 1
    np.testing.assert_array_equal(drawn, setfit.drawn_majority(tied, 0))


def test_a_label_that_no_majority_has_stays_possible_and_one_label_is_refused(
    settings: TrainingSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setfit, "STEPS", 1)
    table = sentiment_judgements(12).table
    wider = Annotations(table, labels=(*sentiment_judgements(12).labels, "other"))
    p = setfit.fit_setfit(wider, wider, settings, 0).probabilities(wider.items)
    assert 0 < p[:, 2].max() < 1e-3
    with pytest.raises(UsageError, match="two labels"):
        setfit.fit_setfit(wider.where(table["label"] == wider.labels[0]), wider, settings, 0)
