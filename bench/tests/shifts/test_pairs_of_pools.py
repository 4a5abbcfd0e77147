"""The posterior of conflict pairs tells preference from noise, on pools of annotators where both are known."""

from __future__ import annotations

import numpy as np
import pytest

from dcpc.data.pairs import mine_pairs, preference
from dcpc_bench.shifts.pools import CleanItems, ConfusionPool, PolarityPool, simulate

pytest.importorskip("faiss")


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def same_item_posterior(pool: object) -> float:
    rng = np.random.default_rng(0)
    items = CleanItems.from_labels([f"t{i}" for i in range(600)], rng.integers(2, size=600), ["no", "yes"])
    annotations, _ = simulate(items, pool, n_annotators=6, labels_per_item=5)
    pairs = mine_pairs(annotations, embeddings=unit(rng.standard_normal((600, 32))), progress=False)
    assert (pairs["kind"] == "same_item").all()
    return float(pairs["preference_posterior"].mean())


def test_the_posterior_is_higher_under_preference_than_under_noise() -> None:
    # Same noise rate about; in one pool all annotators err alike, in the other each kind has its own direction.
    noise = same_item_posterior(ConfusionPool(noise_rate=0.2, concentration=1e6))
    preference = same_item_posterior(PolarityPool(delta=0.5))
    assert noise == pytest.approx(0.5, abs=0.03)
    assert preference > noise + 0.05


def test_posteriors_are_the_same_in_parts_and_stay_finite_without_confusion_matrices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    items = CleanItems.from_labels([f"t{i}" for i in range(300)], rng.integers(2, size=300), ["no", "yes"])
    annotations, _ = simulate(items, PolarityPool(delta=0.5), n_annotators=6, labels_per_item=5)
    first, second = rng.integers(annotations.n_judgements, size=(2, 4000))
    whole = preference.preference_posterior(annotations, first, second)
    monkeypatch.setattr(preference, "_MOST_CELLS", 2 * annotations.n_judgements)  # parts of 1,500 pairs
    np.testing.assert_allclose(preference.preference_posterior(annotations, first, second), whole)
    monkeypatch.setattr(preference, "_MOST_CELLS", 100)  # as with a thousand classes: label shares
    by_shares = preference.preference_posterior(annotations, first, second)
    assert ((by_shares > 0) & (by_shares < 1)).all()
    assert np.corrcoef(by_shares, whole)[0, 1] > 0.5
