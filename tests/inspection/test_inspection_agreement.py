"""Alpha equals an independent implementation, on random tables and on real ones."""

from __future__ import annotations

from pathlib import Path

import krippendorff
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dcpc.inspection.agreement import bootstrap_alpha, krippendorff_alpha, label_entropy, measure_agreement

REAL = {
    "md_agreement": False,
    "popquorn_offensiveness": True,
    "convabuse": True,
    "crehate": False,
    "stanford_politeness": True,
}


def independent(counts: np.ndarray, *, ordinal: bool) -> float:
    level = "ordinal" if ordinal else "nominal"
    return krippendorff.alpha(value_counts=counts, level_of_measurement=level)


@settings(max_examples=60)
@given(counts=arrays(np.int64, st.tuples(st.integers(2, 12), st.integers(2, 6)), elements=st.integers(0, 4)))
@pytest.mark.parametrize("ordinal", [False, True])
def test_alpha_equals_an_independent_implementation(counts: np.ndarray, ordinal: bool) -> None:
    pairable = counts[counts.sum(axis=1) >= 2]
    if (pairable.sum(axis=0) > 0).sum() < 2:
        assert not np.isfinite(krippendorff_alpha(counts, ordinal=ordinal))
        return
    assert krippendorff_alpha(counts, ordinal=ordinal) == pytest.approx(
        independent(counts, ordinal=ordinal), abs=1e-6
    )


@pytest.mark.parametrize(("name", "ordinal"), REAL.items())
def test_alpha_equals_an_independent_implementation_on_real_sets(
    shared_data: Path, name: str, ordinal: bool
) -> None:
    table = pd.read_parquet(shared_data / name)
    counts = pd.crosstab(table["item_id"], table["label"].astype(int)).to_numpy()
    assert krippendorff_alpha(counts, ordinal=ordinal) == pytest.approx(
        independent(counts, ordinal=ordinal), abs=1e-6
    )


def test_perfect_agreement_is_one_and_the_interval_holds_alpha(two_camps) -> None:
    assert krippendorff_alpha(np.array([[3, 0], [0, 3]]), ordinal=False) == 1
    measured = measure_agreement(two_camps, replicates=200)
    assert measured.alpha_low < measured.alpha < measured.alpha_high


def test_the_bootstrap_is_that_of_resampled_items(two_camps) -> None:
    counts = two_camps.counts
    rng = np.random.default_rng(0)
    naive = [
        krippendorff_alpha(counts[rng.integers(0, len(counts), len(counts))], ordinal=True)
        for _ in range(400)
    ]
    own = bootstrap_alpha(counts, ordinal=True, replicates=400, seed=5)
    assert own.mean() == pytest.approx(np.mean(naive), abs=0.01)
    assert own.std() == pytest.approx(np.std(naive), rel=0.2)


def test_entropy_is_in_bits_and_missing_below_two_judgements() -> None:
    entropy = label_entropy(np.array([[2, 2], [4, 0], [1, 0]]))
    assert entropy[:2] == pytest.approx([1, 0])
    assert np.isnan(entropy[2])


def test_without_pairs_there_is_no_alpha(one_label_each) -> None:
    measured = measure_agreement(one_label_each)
    assert measured.alpha is None
    assert measured.pairwise is None
    assert measured.items == 0
